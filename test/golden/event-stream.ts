/** The records in a stream of server-sent events, as this protocol sends them. */

/** `rest`: the beginning of an event that is not all there. */
export function eventRecords(text: string): { readonly texts: readonly string[]; readonly rest: string } {
  // The comment with which the stream begins.
  const events = text.replace(/^:\r\n/, '').split('\r\n\r\n');
  const rest = events.pop() ?? '';
  const texts = events.flatMap((event) => {
    const lines = event.split('\r\n').map((line) => line.replace(/^data: /, ''));
    return lines.join('\n').split('\u001e').slice(0, -1);
  });
  return { texts, rest };
}
