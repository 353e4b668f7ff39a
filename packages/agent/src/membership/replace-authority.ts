/**
 * Replacing the cluster's authority: how it begins, on whichever host is asked, and how the coordinator takes it from
 * phase to phase. docs/internals/trust.md.
 */
import type { AuthorityView } from '@stead/api/endpoints/authority.ts'
import { failure } from '@stead/core/errors.ts'
import { authorityStep, type HostTrustReport } from '@stead/core/ha/authority-step.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { AuthorityChange } from '@stead/core/model/authority-change.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS, SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { WakeableSleep } from '@stead/core/wakeable-sleep.ts'
import type { AgentConfig } from '../config.ts'
import { readCertificate } from '../trust/certificate-reading.ts'
import { sealToHosts } from '../trust/sealed-to-hosts.ts'
import { readAuthorities } from '../trust/trust-files.ts'
import { INVITATIONS_PREFIX } from './join-token.ts'
import { KnownMembers, type KnownMembersOptions } from './known-members.ts'

/** While it goes on; else only news wake it. */
const LOOK_MS = 500
const REST_MS = 600_000

export interface AuthorityReplacementContext extends KnownMembersOptions {
  readonly config: Pick<AgentConfig, 'hostId' | 'clusterName' | 'stateDir' | 'members' | 'etcdMembers'>
  readonly store: Pick<Store, 'get' | 'range' | 'transact'>
  readonly mirror: Pick<ClusterMirror, 'state' | 'onChange'>
  readonly events: EventWriter
  readonly clock: Clock
  readonly log: Log
}

export class AuthorityReplacement {
  readonly #context: AuthorityReplacementContext
  readonly #members: KnownMembers

  constructor(context: AuthorityReplacementContext) {
    this.#context = context
    this.#members = new KnownMembers(context)
  }

  show(): Result<AuthorityView> {
    return this.#view(this.#context.mirror.state.authorityChange?.value)
  }

  async begin(): Promise<Result<AuthorityView>> {
    const { config, store, mirror, events, clock } = this.#context
    if (mirror.state.authorityChange) return fail(RUNNING)
    const recipients: { readonly host: HostId; readonly certificate: string }[] = []
    for (const { hostId, role } of config.members) {
      const certificate = this.#members.certificateOf(hostId as HostId)
      if (certificate === undefined)
        return fail(
          failure('conflict', `${hostId} has shown no certificate yet: it runs an older version, or never ran`, {
            hint: `Upgrade and start it, or remove it: stead host remove ${hostId}`,
          }),
        )
      if (role === 'compute') recipients.push({ host: hostId as HostId, certificate })
    }
    const membership = await this.#members.unchanged()
    if (!membership) return fail(failure('changed_meanwhile', 'The hosts are changing', { hint: 'Try again' }))
    const invitations = await store.range(INVITATIONS_PREFIX)
    if (!invitations.ok) return invitations
    const { createAuthority } = await import('../trust/certificates.ts')
    const { keyPem, certificatePem } = await createAuthority(config.clusterName, clock.wallMs())
    const [former] = readAuthorities(config.stateDir).map((pem) => readCertificate(pem).fingerprint)
    const next = readCertificate(certificatePem).fingerprint
    const change: AuthorityChange = {
      ...{ phase: 'trust', former: former ?? '', next, certificate: certificatePem, begunAt: clock.wallMs() },
    }
    const outcome = await store.transact({
      compares: [{ key: KEYS.authorityChange, modRevision: 0n }, membership],
      writes: [
        { kind: 'put', key: KEYS.authorityChange, value: JSON.stringify(change) },
        { kind: 'put', key: SECRET_KEYS.nextAuthority, value: await sealToHosts(recipients, keyPem) },
        // They name the fingerprint of the one that goes.
        ...invitations.value.entries.map(({ key }): Write => ({ kind: 'delete', key })),
        ...events.writesFor([
          {
            ...{ kind: 'authority.replacing', subject: 'cluster', details: { fingerprint: next } },
            message: 'the authority of the cluster is being replaced',
          },
        ]),
      ],
    })
    if (!outcome.ok) return outcome
    if (!outcome.value.committed) return fail(RUNNING)
    return this.#view(change)
  }

  /** From phase to phase, where this host coordinates. */
  async lead(signal: AbortSignal): Promise<void> {
    const { mirror, clock } = this.#context
    const rest = new WakeableSleep(clock)
    let seen = mirror.state.authorityChange
    const off = mirror.onChange(({ authorityChange }) => {
      if (authorityChange !== seen) rest.wake()
      seen = authorityChange
    })
    while (!signal.aborted) {
      await this.#look()
      await rest.sleep(mirror.state.authorityChange ? LOOK_MS : REST_MS, signal)
    }
    off()
  }

  async #look(): Promise<void> {
    const { config, store, mirror, events, log } = this.#context
    const { authorityChange, coordinator } = mirror.state
    if (!authorityChange || coordinator?.value.host !== config.hostId) return
    const { value: change, revision } = authorityChange
    const step = authorityStep(change, this.#members.ids, (host) => this.#report(change, host))
    if (step.kind === 'wait') return
    const membership = await this.#members.unchanged()
    if (!membership) return
    const replaced: Write[] = [
      { kind: 'delete', key: KEYS.authorityChange },
      ...events.writesFor([
        {
          ...{ kind: 'authority.replaced', subject: 'cluster', details: { fingerprint: change.next } },
          message: 'the authority of the cluster is replaced: certificates of the former one are refused',
        },
      ]),
    ]
    const outcome = await store.transact({
      compares: [{ key: KEYS.authorityChange, modRevision: revision }, membership],
      writes: [
        ...(step.to === 'done'
          ? replaced
          : [
              { kind: 'put' as const, key: KEYS.authorityChange, value: JSON.stringify({ ...change, phase: step.to }) },
            ]),
        // Every host that may sign has it by now.
        ...(step.to === 'drop' ? [{ kind: 'delete' as const, key: SECRET_KEYS.nextAuthority }] : []),
      ],
    })
    if (!outcome.ok) log.warn('the authority is not taken to its next phase yet', { cause: outcome.error })
    else if (outcome.value.committed) log.info('the authority is replaced step by step', { to: step.to })
  }

  #view(change: AuthorityChange | undefined): Result<AuthorityView> {
    const { config, mirror } = this.#context
    const believed = readAuthorities(config.stateDir).map(readCertificate)
    const present = believed.find(({ fingerprint }) => fingerprint !== change?.next) ?? believed[0]
    if (!present) return fail(failure('internal', `${config.hostId} believes no authority`))
    return ok({
      fingerprint: present.fingerprint,
      expiresAt: new Date(present.notAfterMs).toISOString(),
      down: this.#members.ids.filter((host) => !mirror.state.liveness.has(host)),
      replacement: change
        ? {
            phase: change.phase,
            fingerprint: change.next,
            begunAt: new Date(change.begunAt).toISOString(),
            waitsFor: [...this.#lacking(change)],
          }
        : null,
    })
  }

  #lacking(change: AuthorityChange): readonly HostId[] {
    const step = authorityStep(change, this.#members.ids, (host) => this.#report(change, host))
    return step.kind === 'wait' ? step.for : []
  }

  #report(change: AuthorityChange, host: HostId): HostTrustReport {
    const isSignedByNext = this.#members.certificateOf(host, change.certificate) !== undefined
    return { trusts: this.#context.mirror.state.hosts.get(host)?.value.trusts, isSignedByNext }
  }
}

const RUNNING = failure('conflict', 'The authority is being replaced already', { hint: 'See `stead authority show`' })
