/** Pages of users by name, and what tests ask of them. */
import { Page, type PageOptions } from './page.ts';
import { tokenFor } from './server.ts';

export interface Person {
  readonly url: string;
}

/** A connected page of a user. */
export async function openPage(
  { url }: Person,
  userId: string,
  options: Partial<Omit<PageOptions, 'url'>> = {},
): Promise<Page> {
  return Page.open({ url, token: await tokenFor(userId), ...options });
}

/** A page that has no hub connection, for its REST calls. */
export async function restPage({ url }: Person, userId: string): Promise<Page> {
  return new Page({ url, token: await tokenFor(userId) });
}

/** Sends by REST as the page does. @returns the message id. */
export async function sendByRest(
  page: Page,
  message: {
    readonly senderId: string;
    readonly receiverId: string;
    readonly text: string;
    readonly timestamp: string;
  },
): Promise<string> {
  const { receiverId, senderId, text, timestamp } = message;
  const { body, status } = await page.rest('POST', '/api/chat/send', {
    senderId,
    receiverId,
    message: text,
    timestamp,
  });
  if (status !== 200) throw new Error(`${status}: ${JSON.stringify(body)}`);
  return String(field(body, 'messageId'));
}

/** Texts of the newest messages between two people, oldest first, as the REST history tells them. */
export async function historyTexts(page: Page, user1: string, user2: string): Promise<string[]> {
  const { body, status } = await page.rest('GET', `/api/chat/history?user1=${user1}&user2=${user2}&skip=0&take=1000`);
  if (status !== 200 || !Array.isArray(body)) throw new Error(`${status}: ${JSON.stringify(body)}`);
  return body.map((message: unknown) => String(field(message, 'message')));
}

/** A field of a JSON object. */
export function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
