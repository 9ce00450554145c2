/*
 * The test page's script: the stock browser bundle, used as the existing page uses it. Settings come with the query:
 * `server`, `me`, `other`, `token`; `transport` (a name of HttpTransportType; without it the client chooses), `skip` (no negotiation),
 * `protocol` (`json` or `messagepack`), `credentials` (`no`: without).
 */
const { signalR } = globalThis;
const settings = new URLSearchParams(location.search);
const [server, me, other, token] = ['server', 'me', 'other', 'token'].map((name) => settings.get(name) ?? '');
const transport = settings.get('transport');
const protocol = settings.get('protocol') ?? 'json';

const byId = (id) => document.getElementById(id);
const show = (id, text) => {
  byId(id).textContent = text;
};

/** Quick at first, then twice a second for as long as a restart may take. */
const RETRIES_MS = [0, 100, 200, ...Array(120).fill(500)];

const builder = new signalR.HubConnectionBuilder()
  .withUrl(`${server}/chathub`, {
    accessTokenFactory: () => token,
    withCredentials: settings.get('credentials') !== 'no',
    ...(transport !== null && { transport: signalR.HttpTransportType[transport] }),
    ...(settings.has('skip') && { skipNegotiation: true }),
  })
  .withAutomaticReconnect(RETRIES_MS)
  .configureLogging(signalR.LogLevel.None);
if (protocol === 'messagepack') builder.withHubProtocol(new signalR.protocols.msgpack.MessagePackHubProtocol());
const connection = builder.build();

function showState(state, error) {
  show('state', state);
  byId('state').dataset.state = state;
  show('error', error?.message ?? '');
  show('transport', connection.connection?.transport?.constructor.name ?? 'none');
}

/** Ids that are shown: what comes again is dropped, as in the existing page. */
const shown = new Set();

function showMessage(id, text, isMine) {
  if (shown.has(id)) return;
  shown.add(id);
  const item = document.createElement('li');
  item.dataset.mine = String(isMine);
  item.dataset.id = id;
  const body = document.createElement('span');
  body.textContent = text;
  const status = document.createElement('small');
  status.textContent = isMine ? 'sent' : `from ${other}`;
  item.append(body, status);
  byId('messages').append(item);
}

connection.on('ReceiveMessage', (_senderId, text, id) => showMessage(id, text, false));
connection.on('MessageStatusChanged', (id, status) => {
  const mark = document.querySelector(`li[data-id="${CSS.escape(id)}"] small`);
  if (mark !== null) mark.textContent = status;
});
connection.on('UserStatusChanged', (userId, status) => {
  if (userId === other) show('presence', status);
});
for (const event of ['MessageDelivered', 'MessageRead', 'AllMessagesRead', 'MessageDeleted', 'MessageRedacted']) {
  connection.on(event, () => {});
}
connection.onreconnecting((error) => showState('Reconnecting', error));
connection.onreconnected(() => {
  show('reconnects', String(Number(byId('reconnects').textContent) + 1));
  showState('Connected');
});
connection.onclose((error) => showState('Disconnected', error));

byId('send').addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = byId('text').value;
  byId('text').value = '';
  try {
    showMessage(await connection.invoke('SendMessage', me, other, text), text, true);
  } catch (error) {
    show('error', error.message);
  }
});

/** How long the page once stood still, in milliseconds: sleep is seen by what did not happen. */
let longestPauseMs = 0;
let lastTickMs = performance.now();
setInterval(() => {
  const nowMs = performance.now();
  longestPauseMs = Math.max(longestPauseMs, Math.round(nowMs - lastTickMs));
  lastTickMs = nowMs;
  show('pause', longestPauseMs);
}, 20);

show('me', me);
show('other', other);
show('protocol', protocol);
showState('Connecting');
try {
  await connection.start();
  showState('Connected');
  show('presence', (await connection.invoke('GetOnlineStatus', other)) ? 'Online' : 'Offline');
} catch (error) {
  showState('Failed', error);
}
