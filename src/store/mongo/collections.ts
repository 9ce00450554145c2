/** The collections of one database, typed. */
import type { Collection, Db } from 'mongodb';
import type { UserProfile } from '../../core/message.ts';
import type {
  ClientIdDocument,
  JournalDocument,
  MessageDocument,
  MoveDocument,
  PlaceDocument,
  RowDocument,
  TombstoneDocument,
} from './documents.ts';
import type { LeaseDocument, PresenceDocument } from './presence-documents.ts';

export type ProfileDocument = { readonly _id: string } & Omit<UserProfile, 'userId'>;

export interface Collections {
  readonly messages: Collection<MessageDocument>;
  readonly places: Collection<PlaceDocument>;
  readonly clientIds: Collection<ClientIdDocument>;
  readonly rows: Collection<RowDocument>;
  readonly moves: Collection<MoveDocument>;
  readonly tombstones: Collection<TombstoneDocument>;
  readonly journal: Collection<JournalDocument>;
  readonly presence: Collection<PresenceDocument>;
  readonly leases: Collection<LeaseDocument>;
  readonly profiles: Collection<ProfileDocument>;
}

export function collectionsOf(database: Db): Collections {
  return {
    messages: database.collection('messages'),
    places: database.collection('places'),
    clientIds: database.collection('client_ids'),
    rows: database.collection('rows'),
    moves: database.collection('moves'),
    tombstones: database.collection('tombstones'),
    journal: database.collection('journal'),
    presence: database.collection('presence'),
    leases: database.collection('leases'),
    profiles: database.collection('profiles'),
  };
}
