/**
 * This host's member of the store: how etcd is started, joined again after it was removed, and restored by hand.
 *
 * A member that a store that went on alone has left behind (`stead failover --confirm-dead`) still has the old cluster's
 * data. It asks the others first: if they do not know it, its data is put aside and it joins as a learner.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import { readPidFile, type DetachedSpec } from '../process/detached.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { readCertificate } from '../trust/certificate-reading.ts'
import { readAuthorities, trustFiles } from '../trust/trust-files.ts'
import { makeDataAlone } from './lone-data.ts'
import { EtcdCluster, type EtcdMember } from '../store/etcd-cluster.ts'

/** Measured: killing the leader costs 0.74 s until the next write with these, 1.15 s with etcd's defaults. */
const HEARTBEAT_MS = 100
const ELECTION_MS = 500
/**
 * etcd looks for slow watchers every 10 ms, and each time Go's own watcher wakes up with it. With its timers 20 ms late
 * an idle member takes a third of the processor time (measured: 0.32 % of a core, 0.93 % without).
 */
const TIMER_SLACK_MS = 20
/** In the environment of the member's process. */
const TRUSTS = 'STEAD_TRUSTED_AUTHORITIES'
const ASK_TIMEOUT_MS = 1_000
const ASK_AGAIN_MS = 500

type Address = AgentConfig['members'][number]

export class EtcdMemberHost {
  readonly #config: AgentConfig
  readonly #clock: Clock
  readonly #log: Log
  readonly #credentials: HostCredentials
  readonly #directory: string
  /** Asks the other members. */
  #others: EtcdCluster | undefined

  constructor(config: AgentConfig, credentials: HostCredentials, clock: Clock, log: Log) {
    this.#config = config
    this.#credentials = credentials
    this.#clock = clock
    this.#log = log
    this.#directory = join(config.stateDir, 'etcd')
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    // One of an earlier version may be there.
    chmodSync(this.#directory, 0o700)
  }

  get pidFile(): string {
    return join(this.#directory, 'etcd.pid')
  }

  /** True when this host is to run a member. */
  get isMember(): boolean {
    return this.#config.etcdMembers.includes(this.#config.hostId)
  }

  /**
   * Client endpoints of all members: this host's own first, then one address of each other member, then their second
   * ones. Whoever works through the list meets a living member before the second address of a dead one.
   */
  endpoints(): string[] {
    const { hostId, etcdClientPort } = this.#config
    const own = this.isMember ? [this.#socket()] : []
    const others = this.#members()
      .filter((member) => member.hostId !== hostId)
      .map((member) => urlsOf(member, etcdClientPort).map((url) => url.replace('https://', '')))
    const rows = Math.max(0, ...others.map((addresses) => addresses.length))
    return [
      ...own,
      ...Array.from({ length: rows }, (_, row) => others.flatMap((addresses) => addresses[row] ?? [])).flat(),
    ]
  }

  /** The command that starts etcd in the way that its data and the other members call for. */
  async spec(): Promise<DetachedSpec> {
    const { hostId, etcdClientPort, etcdPeerPort } = this.#config
    const self = this.#members().find((member) => member.hostId === hostId)
    if (!self) throw new Error(`${hostId} is no member of the store`)
    await this.#goAlone(urlsOf(self, etcdPeerPort))
    const start = await this.#howToStart()
    // Left by one that was killed: etcd does not take its place. That of a living one is about to be adopted.
    if (!readPidFile(this.pidFile)) rmSync(this.#socket(), { force: true })
    const peerUrls = urlsOf(self, etcdPeerPort)
    return {
      // etcd makes its sockets in its working folder.
      command: 'env',
      args: [
        ...['--chdir', this.#directory, 'etcd'],
        ...['--name', hostId, '--data-dir', this.#data()],
        ...['--listen-peer-urls', peerUrls.join(','), '--initial-advertise-peer-urls', peerUrls.join(',')],
        ...[
          '--listen-client-urls',
          [`unix://${socketName(etcdClientPort)}`, ...urlsOf(self, etcdClientPort)].join(','),
        ],
        ...['--advertise-client-urls', urlsOf(self, etcdClientPort).join(',')],
        ...this.#tlsArguments(),
        ...['--initial-cluster', start.initialCluster, '--initial-cluster-state', start.state],
        ...['--initial-cluster-token', this.#config.clusterName],
        ...['--heartbeat-interval', String(HEARTBEAT_MS), '--election-timeout', String(ELECTION_MS), '--pre-vote'],
        ...['--auto-compaction-mode', 'revision', '--auto-compaction-retention', '2000'],
        ...[
          '--quota-backend-bytes',
          String(1 << 30),
          '--snapshot-count',
          '5000',
          '--logger',
          'zap',
          '--log-level',
          'warn',
        ],
        // The clients ping every 2 s, and the largest plan writes a few hundred records at once.
        ...['--grpc-keepalive-min-time', '1s', '--max-txn-ops', '2048'],
      ],
      pidFile: this.pidFile,
      stdoutPath: join(this.#directory, 'etcd.log'),
      stderrPath: join(this.#directory, 'etcd.log'),
      nice: -10,
      timerSlackMs: TIMER_SLACK_MS,
      // A Go runtime that keeps little garbage: the store holds a few thousand records, not gigabytes.
      env: { ...process.env, GOGC: '40', GOMAXPROCS: '1', [TRUSTS]: this.#trusts().join() },
    }
  }

  /** The next start makes a cluster of this member alone out of its data: only a person may decide that. */
  goAlone(): void {
    writeFileSync(this.#alone, '')
  }

  get #alone(): string {
    return join(this.#directory, 'go-alone')
  }

  async #goAlone(peerUrls: readonly string[]): Promise<void> {
    // One that runs is about to be adopted; its data is its own.
    if (!existsSync(this.#alone) || readPidFile(this.pidFile)) return
    const [name, now] = [this.#config.hostId, Math.trunc(this.#clock.wallMs())]
    const made = await makeDataAlone({
      ...{ data: this.#data(), name, peerUrls, token: `${this.#config.clusterName}-${now}` },
      aside: `${this.#data()}.left-behind-${now}`,
    })
    if (!made.ok) throw new Error(made.error.message, { cause: made.error })
    rmSync(this.#alone)
    this.#log.warn('the store goes on with the records of this host alone; its old data is kept aside', { name })
  }

  /**
   * How the other members see this one; a learner that has caught up is made a voter on the way. `stranger`: they
   * go on without it, so its data is of a cluster that no longer exists.
   */
  async standing(): Promise<'voter' | 'learner' | 'stranger' | 'unknown'> {
    // Kept: making a client anew for each look cost 0.25 % of a core (measured).
    this.#others ??= this.#cluster(this.#otherEndpoints())
    const members = await this.#others.memberList()
    if (!members.ok) return 'unknown'
    const self = members.value.find((member) => this.#isSelf(member))
    if (!self) return 'stranger'
    if (!self.learner) return 'voter'
    const promoted = await this.#others.memberPromote(self.id)
    this.#log.info('this member of the store is made a voter', {
      promoted: promoted.ok,
      ...(promoted.ok ? {} : { cause: promoted.error }),
    })
    return 'learner'
  }

  /** Hosts that have a member in the store, by its own word. */
  async memberNames(): Promise<Result<readonly string[]>> {
    const cluster = this.#cluster(this.endpoints())
    const members = await cluster.memberList().finally(() => cluster.close())
    return members.ok ? ok(members.value.map(({ name }) => name)) : members
  }

  /** A host that is no longer of the cluster has no voice. `not_found` when it has none. */
  async removeMember(hostId: string): Promise<Result<void>> {
    const cluster = this.#cluster(this.endpoints())
    try {
      const members = await cluster.memberList()
      if (!members.ok) return members
      const found = members.value.find(({ name }) => name === hostId)
      if (found) return await cluster.memberRemove(found.id)
      return fail(failure('not_found', `There is no host ${hostId}`, { hint: 'See `stead host list`' }))
    } finally {
      await cluster.close()
    }
  }

  /** SHA-256 of the authorities that the running member believes: it reads them when it starts. Undefined: none runs. */
  trusts(): readonly string[] | undefined {
    const running = readPidFile(this.pidFile)
    if (!running) return undefined
    try {
      const environment = readFileSync(`/proc/${running.pid}/environ`, 'utf8').split('\0')
      const found = environment.find((each) => each.startsWith(`${TRUSTS}=`))
      return found?.slice(TRUSTS.length + 1).split(',')
    } catch {
      // It has just ended.
      return undefined
    }
  }

  /** The address of this host's own member alone. */
  get ownEndpoint(): string {
    return this.#socket()
  }

  async close(): Promise<void> {
    await this.#others?.close()
  }

  #trusts(): string[] {
    return readAuthorities(this.#config.stateDir).map((pem) => readCertificate(pem).fingerprint)
  }

  async #howToStart(): Promise<{ readonly state: 'new' | 'existing'; readonly initialCluster: string }> {
    const { etcdPeerPort } = this.#config
    const configured = this.#members().flatMap((member) =>
      urlsOf(member, etcdPeerPort).map((url) => `${member.hostId}=${url}`),
    )
    const hasData = existsSync(join(this.#data(), 'member'))
    let others = await this.#askOthers()
    // The store exists: one that this host made for itself would be another.
    while (!others && this.#config.joined && !hasData) {
      await this.#clock.sleep(ASK_AGAIN_MS)
      others = await this.#askOthers()
    }
    if (!others) return { state: hasData ? 'existing' : 'new', initialCluster: configured.join(',') }
    const known = others.members.find((member) => this.#isSelf(member))
    // A member that has never started has no name yet: the cluster is being made for the first time.
    if (known && (hasData || known.name === '' || !this.#hasStartedOnce())) {
      return {
        state: hasData || known.name === '' ? 'existing' : 'new',
        initialCluster: known.name === '' ? clusterText(others.members, this.#config.hostId) : configured.join(','),
      }
    }
    return this.#joinAgain(others.endpoint, known)
  }

  async #joinAgain(
    endpoint: string,
    known: EtcdMember | undefined,
  ): Promise<{ readonly state: 'existing'; readonly initialCluster: string }> {
    const { hostId, etcdPeerPort } = this.#config
    const self = this.#members().find((member) => member.hostId === hostId)
    const cluster = this.#cluster([endpoint])
    try {
      if (existsSync(this.#data()))
        renameSync(this.#data(), `${this.#data()}.left-behind-${Math.trunc(this.#clock.wallMs())}`)
      if (known) {
        const removed = await cluster.memberRemove(known.id)
        if (!removed.ok) throw new Error(removed.error.message, { cause: removed.error })
      }
      const added = await cluster.memberAdd(self ? urlsOf(self, etcdPeerPort) : [], { learner: true })
      if (!added.ok) throw new Error(added.error.message, { cause: added.error })
      const members = await cluster.memberList()
      if (!members.ok) throw new Error(members.error.message, { cause: members.error })
      this.#log.warn('joins the store again as a new member; its old data is kept aside', {
        directory: this.#directory,
      })
      return { state: 'existing', initialCluster: clusterText(members.value, hostId, added.value.id) }
    } finally {
      await cluster.close()
    }
  }

  /** What the other members say of the membership; undefined when none answers. */
  async #askOthers(): Promise<{ readonly endpoint: string; readonly members: readonly EtcdMember[] } | undefined> {
    const others = this.#otherEndpoints()
    const answers = await Promise.all(
      others.map(async (endpoint) => {
        const cluster = this.#cluster([endpoint])
        const members = await cluster.memberList().finally(() => cluster.close())
        return members.ok ? { endpoint, members: members.value } : undefined
      }),
    )
    return answers.find((answer) => answer !== undefined)
  }

  #cluster(endpoints: readonly string[]): EtcdCluster {
    const [clock, log, credentials] = [this.#clock, this.#log, this.#credentials]
    return new EtcdCluster({ endpoints, callTimeoutMs: ASK_TIMEOUT_MS, credentials, clock, log })
  }

  #socket(): string {
    return join(this.#directory, socketName(this.#config.etcdClientPort))
  }

  #otherEndpoints(): string[] {
    return this.endpoints().filter((endpoint) => !endpoint.startsWith('/'))
  }

  /** Read by etcd at each handshake: a renewed certificate and a revocation need no new start. */
  #tlsArguments(): string[] {
    const { certificate, key, authorities, revoked } = trustFiles(this.#config.stateDir)
    const own = (prefix: string) => [
      ...[`--${prefix}cert-file`, certificate, `--${prefix}key-file`, key],
      ...[`--${prefix}client-cert-auth`, `--${prefix}trusted-ca-file`, authorities],
    ]
    return [...own(''), ...own('peer-'), '--client-crl-file', revoked, '--peer-crl-file', revoked]
  }

  #isSelf(member: EtcdMember): boolean {
    const { hostId, etcdPeerPort } = this.#config
    const self = this.#members().find((candidate) => candidate.hostId === hostId)
    const urls = new Set(self ? urlsOf(self, etcdPeerPort) : [])
    return member.name === hostId || member.peerUrls.some((url) => urls.has(url))
  }

  #hasStartedOnce(): boolean {
    return existsSync(join(this.#directory, 'etcd.log'))
  }

  #members(): readonly Address[] {
    return this.#config.members.filter((member) => this.#config.etcdMembers.includes(member.hostId))
  }

  #data(): string {
    return join(this.#directory, 'data')
  }
}

/** The name is what etcd makes of the address: a file in its working folder. */
function socketName(port: number): string {
  return `localhost:${port}`
}

function urlsOf(member: Address, port: number): string[] {
  return Object.values(member.addresses).map((address) => `https://${address}:${port}`)
}

function clusterText(members: readonly EtcdMember[], self: string, selfId?: bigint): string {
  return members
    .flatMap((member) =>
      member.peerUrls.map((url) => `${member.id === selfId || member.name === '' ? self : member.name}=${url}`),
    )
    .join(',')
}
