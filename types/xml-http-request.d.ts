/** Name from the DOM library that the type declarations of the SignalR client, which tests use, refer to. */
type XMLHttpRequestResponseType = '' | 'arraybuffer' | 'blob' | 'document' | 'json' | 'text';
