/** What codecs say of values that do not fit. The texts are the reference's; clients see them with detailed errors on. */

export const WRONG_TYPES =
  'Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked.';
export const WRONG_ITEM = 'Error trying to deserialize a stream item.';
export const WRONG_RESULT = 'Error trying to deserialize result.';

/** A call with too many or too few arguments. */
export function wrongCount(given: number, expected: number): string {
  return `Invocation provides ${given} argument(s) but target expects ${expected}.`;
}
