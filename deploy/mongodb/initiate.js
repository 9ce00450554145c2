// Run by mongosh. Does nothing to a replica set that is there already.
const members = ['mongo-1', 'mongo-2', 'mongo-3'].map((name, _id) => ({ _id, host: `${name}:27017` }));
const GIVE_UP_AFTER_MS = 60_000;

try {
  rs.initiate({ _id: 'chat', members });
} catch (error) {
  if (error.codeName !== 'AlreadyInitialized') throw error;
}
const givesUpAt = Date.now() + GIVE_UP_AFTER_MS;
while (!rs.status().members.some(({ stateStr }) => stateStr === 'PRIMARY')) {
  if (Date.now() > givesUpAt) throw new Error('The replica set has elected no primary');
  sleep(500);
}
