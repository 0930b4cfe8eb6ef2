/** A snapshot: all that is made of one configuration, the roles included (RFC 3261 6). A request is served by the current one, and
 *  what belongs to its transaction later by the same, though the configuration may have been exchanged meanwhile
 *  (snapshots.ts). What does not depend on the configuration is the shard's, and the same in all of them. Making one is cold. */

import { realmsOf } from '../auth/configured.ts';
import type { Config } from '../config/schema.ts';
import type { LocationTable } from '../location/location-table.ts';
import type { FeedProducer } from '../location/store-feed.ts';
import type { Arena } from '../memory/arena.ts';
import type { KeptMessages } from '../memory/kept-messages.ts';
import type { Counters } from '../observe/counters.ts';
import type { Histograms } from '../observe/histograms.ts';
import type { MessageEdits } from '../sip/message-edits.ts';
import type { Outbound } from '../sip/outbound.ts';
import type { AnswerLog } from './answer-log.ts';
import { Authentication, type AuthPorts } from './authentication.ts';
import type { BoundSocket } from './bound-socket.ts';
import type { Destination } from './destination.ts';
import type { DialogTokens } from './dialog-tokens.ts';
import { DomainServices } from './domain-services.ts';
import type { FlowTokens } from './flow-tokens.ts';
import type { LocatedUser } from './located-user.ts';
import { OwnAddresses } from './own-addresses.ts';
import type { ElementClock } from './ports.ts';
import { FlowRoutes } from './proxy/flow-routes.ts';
import { HopHealth, type KnownHops } from './proxy/hop-health.ts';
import { RequestForwarding } from './proxy/request-forwarding.ts';
import { ResponseForwarding } from './proxy/response-forwarding.ts';
import { RequestRouting } from './proxy/routing.ts';
import { StatefulProxy } from './proxy/stateful.ts';
import { StatelessProxy } from './proxy/stateless.ts';
import type { TargetBlocks } from './proxy/target-blocks.ts';
import { NextHops } from './proxy/target-set.ts';
import type { TransactionLayer } from './proxy/transaction-layer.ts';
import type { UnreachablePlaces } from './proxy/unreachable.ts';
import { type FileUsers, Users } from './proxy/users.ts';
import { ViaTemplates } from './proxy/via-templates.ts';
import type { RecentRequests } from './recent-requests.ts';
import { Redirect } from './redirect/redirect.ts';
import { Registrar } from './registrar/registrar.ts';
import type { StoredAnswers } from './registrar/stored-answers.ts';
import { Responder } from './responder.ts';
import { TrustedSources } from './trusted-sources.ts';
import type { ViaMarker } from './via-marker.ts';

/** What a reload exchanges. */
export interface Policy {
  readonly config: Config;
  /** Who is in the files of users; null: there are none. */
  readonly fileUsers: FileUsers | null;
  /** What shards share of authentication; null: no domain asks for any. */
  readonly auth: AuthPorts | null;
}

/** What all snapshots of a shard have in common. */
export interface SnapshotParts {
  readonly arena: Arena;
  readonly sockets: readonly BoundSocket[];
  readonly localAddresses: readonly string[];
  readonly counters: Counters;
  readonly histograms: Histograms;
  readonly answerLog: AnswerLog | null;
  readonly outbound: Outbound;
  readonly edits: MessageEdits;
  readonly destination: Destination;
  /** Where our own answers go. Not `destination`: a 100 is addressed between the choice of a next hop and the forwarding to it. */
  readonly returns: Destination;
  readonly marker: ViaMarker;
  readonly kept: KeptMessages;
  readonly targetBlocks: TargetBlocks;
  readonly location: LocationTable;
  readonly located: LocatedUser;
  readonly feed: FeedProducer | null;
  readonly answers: StoredAnswers | null;
  readonly recent: RecentRequests;
  readonly hops: KnownHops;
  /** Who takes no TCP (3261 18.1.1). */
  readonly withoutTcp: UnreachablePlaces;
  readonly flowTokens: FlowTokens;
  readonly dialogTokens: DialogTokens;
  readonly clock: ElementClock;
  readonly whenResolved: (resume: () => void) => boolean;
}

export class Snapshot {
  readonly config: Config;
  readonly responder: Responder;
  readonly routing: RequestRouting;
  readonly authentication: Authentication | null;
  readonly registrar: Registrar;
  readonly responses: ResponseForwarding;
  readonly stateless: StatelessProxy;
  /** null in stateless mode. */
  readonly stateful: StatefulProxy | null;
  readonly templates: ViaTemplates;
  readonly #hops: KnownHops;
  /** What it has of `hops`, and gives back when it is released. */
  #hopUris: readonly string[];

  /** `layer`: null in stateless mode. `before`: the snapshot before this one. */
  constructor(parts: SnapshotParts, policy: Policy, layer: TransactionLayer | null, before: Snapshot | null) {
    const { arena, sockets, localAddresses, counters, outbound, edits, destination, hops, clock, located } = parts;
    const { config, auth, fileUsers } = policy;
    const { bytes, words } = arena;
    const isStateful = layer !== null;
    const domains = config.domains.map(({ name }) => name);
    const own = new OwnAddresses(bytes, words, sockets, localAddresses, domains);
    const trusted = new TrustedSources(words, config.trusted, sockets);
    const nextHops = new NextHops(config, hops);
    const health = new HopHealth(hops, config.nextHopRestSec * 1000);
    const users = new Users(config, fileUsers);
    const hasSameTemplates = before !== null && before.config.maxBreadth === config.maxBreadth;
    const templates = hasSameTemplates ? before.templates : newTemplates(parts, config);
    const responder = new Responder(
      arena,
      outbound,
      edits,
      parts.marker,
      parts.returns,
      sockets,
      config.server.name,
      parts.answerLog,
    );
    const authentication =
      auth === null
        ? null
        : new Authentication({
            arena,
            sockets,
            outbound,
            responder,
            own,
            counters,
            realms: realmsOf(config, auth.algorithmsOf),
            ports: auth,
            clock,
            config,
          });
    const dialogTokens = authentication?.asksProxied === true ? parts.dialogTokens : null;
    const redirect = new Redirect(arena, outbound, responder, located);
    const routing = new RequestRouting({
      ...parts,
      own,
      users,
      services: new DomainServices(config),
      authentication,
      dialogTokens,
      trusted,
      isRecordRouting: isStateful && config.recordRoute.length > 0,
      isStateful,
      // 16.11: without transactions the choice depends on the call alone.
      chooseHop: isStateful
        ? (domain, selector) => nextHops.first(domain, selector, health, clock.nowMs)
        : (domain, selector) => nextHops.choose(domain, selector),
    });
    const { marker, withoutTcp } = parts;
    const flowRoutes = new FlowRoutes(arena, sockets, parts.flowTokens, dialogTokens, marker, outbound, edits);
    const forwarding = new RequestForwarding(
      arena,
      withoutTcp,
      flowRoutes,
      outbound,
      edits,
      marker,
      templates,
      authentication,
      {
        maxForwards: config.maxForwards,
        maxBreadth: config.maxBreadth,
        recordRoute: isStateful ? config.recordRoute : [],
        maxUdpRequestBytes: config.maxUdpRequestBytes === 'off' ? Number.POSITIVE_INFINITY : config.maxUdpRequestBytes,
      },
    );
    this.config = config;
    this.responder = responder;
    this.routing = routing;
    this.authentication = authentication;
    this.templates = templates;
    this.#hops = hops;
    this.#hopUris = nextHops.uris;
    this.responses = new ResponseForwarding(
      arena,
      own,
      templates,
      trusted,
      sockets,
      destination,
      outbound,
      edits,
      counters,
    );
    this.registrar = new Registrar({
      ...parts,
      responder,
      own,
      users,
      authentication,
      settings: config.registrar,
    });
    const shared = { ...parts, routing, forwarding, responder, redirect, authentication, users };
    this.stateless = new StatelessProxy(shared);
    this.stateful = isStateful ? new StatefulProxy({ ...shared, nextHops, health, layer, settings: config }) : null;
  }

  /** Takes over what the transactions of `elder` refer to, which go on with this one. */
  inherit(elder: Snapshot): void {
    this.#hopUris = [...this.#hopUris, ...elder.#hopUris];
    elder.#hopUris = [];
  }

  /** No transaction is left that began with it. */
  release(): void {
    for (const uri of this.#hopUris) this.#hops.release(uri);
    this.#hopUris = [];
  }
}

/** Those of the first snapshot are needed before there is one. */
export function newTemplates(
  { arena, sockets, localAddresses }: Pick<SnapshotParts, 'arena' | 'sockets' | 'localAddresses'>,
  { maxBreadth, mode, tls }: Config,
): ViaTemplates {
  return new ViaTemplates(arena, sockets, localAddresses, maxBreadth, mode === 'stateless', tls.aliases);
}
