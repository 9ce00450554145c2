/** Limits that the use cases keep; every one is configuration (src/config) with these defaults. */
export interface ChatLimits {
  /** Longest message, in UTF-16 code units. Default 5,000. */
  readonly textMaxCharacters: number;
  /** Most items on a page of messages or conversations. Default 200. */
  readonly pageSizeMax: number;
  /** Sends per user and second that are sustained. Default 100. */
  readonly sendsPerSecond: number;
  /** Sends that a user can save up. Default 1,000. */
  readonly sendBurst: number;
}

export const DEFAULT_LIMITS: ChatLimits = {
  textMaxCharacters: 5000,
  pageSizeMax: 200,
  sendsPerSecond: 100,
  sendBurst: 1000,
};

/** Page size when the caller names none. */
export const DEFAULT_PAGE_SIZE = 50;
/** Most users in one question about presence or profiles. */
export const MAX_USERS_PER_QUESTION = 500;
/** Most online users on a page. */
export const MAX_ONLINE_PAGE = 1000;
