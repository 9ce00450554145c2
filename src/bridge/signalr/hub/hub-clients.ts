/** The hub's view of its clients and groups (clients.ts) over a router. Proxies are values: they hold names, never connections. */

import { param } from '../protocol/parameters.ts';
import type { Audience } from './backplane.ts';
import type {
  CallerClients,
  ClientProxy,
  HubClients,
  HubContext,
  HubGroups,
  InvokeOptions,
  SingleClientProxy,
} from './clients.ts';
import type { HubRouter } from './hub-router.ts';

/** Called when an answer of a client is about to be waited for; what it throws is the caller's. */
type OnInvoke = () => void;

const anywhere: OnInvoke = () => undefined;
const nowhere: OnInvoke = () => {
  throw new Error('Clients cannot be asked inside onConnected and onDisconnected: their answers are not read there.');
};

/** For code outside of calls. */
export function hubContext(router: HubRouter): HubContext {
  return { clients: new Clients(router, anywhere), groups: new Groups(router) };
}

/** For the life-cycle events, where no answer of a client can be read. */
export function lifecycleContext(router: HubRouter): HubContext {
  return { clients: new Clients(router, nowhere), groups: new Groups(router) };
}

class Receivers implements ClientProxy {
  protected readonly router: HubRouter;
  readonly #audience: Audience;

  constructor(router: HubRouter, audience: Audience) {
    this.router = router;
    this.#audience = audience;
  }

  send(target: string, ...args: readonly unknown[]): void {
    this.router.send(this.#audience, target, args);
  }
}

class Receiver extends Receivers implements SingleClientProxy {
  readonly #connectionId: string;
  readonly #onInvoke: OnInvoke;

  constructor(router: HubRouter, connectionId: string, onInvoke: OnInvoke) {
    super(router, { to: 'connections', ids: [connectionId] });
    this.#connectionId = connectionId;
    this.#onInvoke = onInvoke;
  }

  async invoke<Result = unknown>(
    target: string,
    args: readonly unknown[],
    { result, signal }: InvokeOptions<Result> = {},
  ): Promise<Result> {
    this.#onInvoke();
    const { kind } = result ?? param.any;
    return (await this.router.invoke(this.#connectionId, target, args, kind, signal)) as Result;
  }
}

class Clients implements HubClients {
  protected readonly router: HubRouter;
  readonly #onInvoke: OnInvoke;

  constructor(router: HubRouter, onInvoke: OnInvoke) {
    this.router = router;
    this.#onInvoke = onInvoke;
  }

  get all(): ClientProxy {
    return this.allExcept([]);
  }

  allExcept(connectionIds: readonly string[]): ClientProxy {
    return new Receivers(this.router, { to: 'all', except: connectionIds });
  }

  client(connectionId: string): SingleClientProxy {
    return new Receiver(this.router, connectionId, this.#onInvoke);
  }

  clients(connectionIds: readonly string[]): ClientProxy {
    return new Receivers(this.router, { to: 'connections', ids: connectionIds });
  }

  group(name: string): ClientProxy {
    return this.groups([name]);
  }

  groups(names: readonly string[]): ClientProxy {
    return new Receivers(this.router, { to: 'groups', names, except: [] });
  }

  groupExcept(name: string, connectionIds: readonly string[]): ClientProxy {
    return new Receivers(this.router, { to: 'groups', names: [name], except: connectionIds });
  }

  user(userId: string): ClientProxy {
    return this.users([userId]);
  }

  users(userIds: readonly string[]): ClientProxy {
    return new Receivers(this.router, { to: 'users', ids: userIds });
  }
}

/** As one caller sees them. */
export class ClientsOfCaller extends Clients implements CallerClients {
  readonly #callerId: string;

  constructor(router: HubRouter, callerId: string, onInvoke: OnInvoke) {
    super(router, onInvoke);
    this.#callerId = callerId;
  }

  get caller(): SingleClientProxy {
    return this.client(this.#callerId);
  }

  get others(): ClientProxy {
    return this.allExcept([this.#callerId]);
  }

  othersInGroup(name: string): ClientProxy {
    return this.groupExcept(name, [this.#callerId]);
  }
}

class Groups implements HubGroups {
  readonly #router: HubRouter;

  constructor(router: HubRouter) {
    this.#router = router;
  }

  add(connectionId: string, group: string): Promise<void> {
    return this.#router.changeGroup('addToGroup', connectionId, group);
  }

  remove(connectionId: string, group: string): Promise<void> {
    return this.#router.changeGroup('removeFromGroup', connectionId, group);
  }
}
