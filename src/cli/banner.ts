/** What a person sees when the server has started: where it is, a token to try it with, and a first thing to try. */
import { mintToken } from '../auth/mint.ts';

export interface BannerApp {
  readonly url: string;
  readonly auth: { readonly developmentSecret: { readonly secret: Uint8Array; readonly file: string } | undefined };
}

export interface BannerConfig {
  readonly auth: { readonly issuer: string; readonly audience: string };
}

const TOKEN_TTL_MS = 12 * 3_600_000;

/** Writes the banner. The token is shown only with the development secret, which is refused in production. */
export async function printBanner(app: BannerApp, config: BannerConfig, write: (text: string) => void): Promise<void> {
  write(`
The chat server is ready on ${app.url}

  SignalR                  ${app.url}/chathub
  REST                     ${app.url}/api/chat/...
  gRPC, gRPC-Web, Connect  ${app.url}   (reflection is on)
  Health, metrics          ${app.url}/api/health  ${app.url}/metrics
`);
  const { developmentSecret } = app.auth;
  if (developmentSecret === undefined) return;
  const { issuer, audience } = config.auth;
  const token = await mintToken({
    secret: developmentSecret.secret,
    userId: 'alice',
    name: 'Alice Example',
    ttlMs: TOKEN_TTL_MS,
    issuer,
    audience,
  });
  write(`
  !!  NO KEY IS CONFIGURED. Tokens are checked with a development secret made for this computer:
  !!  ${developmentSecret.file}
  !!  Whoever reads that file can be anybody. Set AUTH_HS256_SECRET or AUTH_JWKS_URL for real use.

A token for the user "alice", good for 12 hours:

${token}

Try it, in another terminal: send Bob a message as Alice.

  TOKEN=$(npm run --silent token -- --user alice)
  curl -s ${app.url}/carepro.chat.v1.ChatService/SendMessage \\
    -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \\
    -d '{"receiverId": "bob", "text": "Hello Bob"}'
`);
}
