/**
 * The methods of a hub by name, without regard to letter case: the reference's table is case-insensitive although the
 * protocol's prose says otherwise. Error texts quote the declared spelling, so an entry keeps it.
 *
 * A Map, never an object: `constructor` or `__proto__` are unknown methods like any other.
 */
import { type Parameter, type ParameterKind, requiredCount } from './parameters.ts';

/** A method as the dispatcher and the codecs see it. */
export interface MethodEntry {
  /** As declared. */
  readonly name: string;
  /** Those that are sent as arguments. */
  readonly parameters: readonly Parameter[];
  /** The upload streams: their places among all that the handler takes. */
  readonly uploads: readonly { readonly index: number; readonly kind: ParameterKind }[];
  /** Arguments before the first optional one. */
  readonly requiredCount: number;
  /** `context` is the dispatcher's; the hub's own types are checked where the hub is defined. */
  readonly invoke: (context: never, ...args: never[]) => unknown;
  /** Whether its result is a stream of items. */
  readonly isStreaming: boolean;
  /** Whether calls may run beside others of this kind. */
  readonly overlaps: boolean;
}

/** A method as the hub declares it: `parameters` with the streams in their places. */
type Declared = Pick<MethodEntry, 'parameters' | 'invoke' | 'overlaps' | 'isStreaming'>;

const NO_UPLOADS: MethodEntry['uploads'] = [];

export class MethodTable {
  readonly #exact = new Map<string, MethodEntry>();
  readonly #folded = new Map<string, MethodEntry>();

  /** Throws TypeError when two names differ only in letter case. */
  constructor(methods: Readonly<Record<string, Declared>>) {
    for (const [name, declared] of Object.entries(methods)) {
      const folded = name.toLowerCase();
      if (this.#folded.has(folded)) throw new TypeError(`Two hub methods are named '${name}' but for letter case`);
      const parameters = declared.parameters.filter(({ isStream }) => isStream !== true);
      const uploads = declared.parameters.flatMap(({ isStream, kind }, index) => (isStream ? [{ index, kind }] : []));
      const entry: MethodEntry = {
        name,
        parameters,
        uploads: uploads.length === 0 ? NO_UPLOADS : uploads,
        requiredCount: requiredCount(parameters),
        invoke: declared.invoke,
        isStreaming: declared.isStreaming,
        overlaps: declared.overlaps,
      };
      this.#exact.set(name, entry);
      this.#folded.set(folded, entry);
    }
  }

  /** The method a client calls `target`, or undefined. */
  find(target: string): MethodEntry | undefined {
    return this.#exact.get(target) ?? this.#folded.get(target.toLowerCase());
  }
}
