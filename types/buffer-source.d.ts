/** Name from the DOM library that the type declarations of the MessagePack codec use. */
type BufferSource = ArrayBufferView | ArrayBuffer;
