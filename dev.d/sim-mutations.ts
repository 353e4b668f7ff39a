/** Each safety rule, and the change of the code that takes it out. The texts must be found: else the table has rotted. */
import type { SourceEdit } from './sim-worker.ts'

export interface Mutation {
  readonly rule: string
  readonly edits: readonly SourceEdit[]
  /** Another line that stops by itself all that this rule would: it is taken out as well, or nothing could be seen. */
  readonly redundantWith?: { readonly line: string; readonly edits: readonly SourceEdit[] }
}

const HOST = 'packages/core/src/host'
const HA = 'packages/core/src/ha'
const SIM = 'packages/sim/src'

export const MUTATIONS: readonly Mutation[] = [
  {
    rule: 'record-before-continue',
    edits: [
      {
        file: `${HOST}/disk-keeper.ts`,
        text: 'const recorded = await records.markStale(volume, host, stale, left)',
        by: "const recorded = { kind: 'recorded' as const, value: context.mirror.state.volumes.get(volume)!.value }; void records.markStale(volume, host, stale, left)",
      },
    ],
  },
  {
    rule: 'leave-when-replaced',
    edits: [
      {
        file: `${HA}/storage-move.ts`,
        text: 'if (to !== undefined && !current.has(to)) return undefined',
        by: '',
      },
      {
        file: `${HA}/storage-move.ts`,
        text: '  current.delete(from)\n',
        by: '',
      },
      { file: `${HA}/storage-move.ts`, text: 'if (to !== undefined) return hasLeg(to)', by: '' },
    ],
  },
  {
    rule: 'last-pass-before-the-place',
    edits: [
      {
        file: `${HOST}/pool-change.ts`,
        text: 'const passed = await lastPass()',
        by: 'const passed = { ok: true } as Result<void>',
      },
    ],
  },
  {
    rule: 'hard-revocation',
    edits: [
      {
        file: `${HOST}/storage-keeper.ts`,
        text: 'const revoked = await volumesOn(self).revokeBelow(volume.id, pool, grant.epoch)',
        by: 'const revoked = { ok: true as const, value: [] as readonly string[] }',
      },
    ],
  },
  {
    rule: 'parent-check',
    edits: [
      {
        file: `${HOST}/commit.ts`,
        text: 'const compares: Compare[] = [{ key: KEYS.coordinator, modRevision: context.claimRevision }]',
        by: 'const compares: Compare[] = []',
      },
    ],
  },
  {
    rule: 'self-fencing',
    edits: [
      {
        file: `${SIM}/world-guardian.ts`,
        text: 'this.#cancelTimer = clock.after(leftMs, () => {',
        by: 'if (leftMs > 0) return\n    this.#cancelTimer = clock.after(leftMs, () => {',
      },
    ],
  },
  {
    rule: 'deadline-margin',
    edits: [
      {
        file: `${HA}/self-fencing.ts`,
        text: 'const grantMs = leaseTtlMs - marginMs',
        by: 'const grantMs = leaseTtlMs + 0 * marginMs',
      },
    ],
  },
  {
    rule: 'evidence-dated-at-sending',
    edits: [
      {
        file: `${HA}/peer-table.ts`,
        text: 'if (confirmedAt !== undefined) this.#contactSentAt = Math.max(this.#contactSentAt ?? -Infinity, confirmedAt)',
        by: 'if (confirmedAt !== undefined) this.#contactSentAt = now',
      },
    ],
  },
  {
    rule: 'rotation-after-flush',
    edits: [
      {
        file: `${HOST}/sync-point.ts`,
        text: 'const flushed = await flush()',
        by: 'const flushed = { ok: true }',
      },
    ],
  },
  {
    rule: 'union-of-both-bitmaps',
    edits: [
      {
        file: `${HOST}/resync.ts`,
        text: "if (target.stale?.cause !== 'run-lost') return ok([])",
        by: "if (target.stale?.cause !== 'never') return ok([])",
      },
    ],
  },
  {
    rule: 'serving-only-current-replicas',
    edits: [
      {
        file: `${HOST}/disk-opening.ts`,
        text: 'const replicas = inSync(volume).toSorted(',
        by: 'const replicas = volume.replicas.toSorted(',
      },
      {
        file: `${HA}/export-gate.ts`,
        text: "if ((purpose === 'serve' || purpose === 'copy-from') && !granted.inSync)",
        by: "if (purpose === 'copy-from' && !granted.inSync)",
      },
    ],
  },
  {
    rule: 'epoch-refused-at-open',
    edits: [
      { file: `${HA}/export-gate.ts`, text: 'if (epoch < granted.epoch) return', by: 'if (epoch < 0) return' },
      {
        file: `${HA}/export-gate.ts`,
        text: 'if (newer !== undefined) return staleEpoch(volume, epoch, newer)',
        by: 'if (newer !== undefined && epoch < 0) return staleEpoch(volume, epoch, newer)',
      },
    ],
  },
  {
    rule: 'one-source-after-an-unclean-end',
    edits: [
      {
        file: `${HA}/serving.ts`,
        text: 'if (wasClean) return undefined\n',
        by: 'if (wasClean || isUsable) return undefined\n',
      },
      {
        file: `${HA}/safety.ts`,
        text: 'if (!wasClean && serving.length > 1) return',
        by: 'if (!wasClean && serving.length > 9) return',
      },
    ],
  },
  {
    rule: 'in-flight-writes-of-a-dropped-leg',
    edits: [
      {
        file: `${HA}/serving.ts`,
        text: "return stale.cause === 'leg-lost' ? { ...stale, cause: 'run-lost' } : stale",
        by: 'return stale',
      },
    ],
  },
  {
    rule: 'surviving-replicas-first',
    edits: [
      {
        file: `${HOST}/guest-run.ts`,
        text: 'await yieldToSurvivors(this.#context, guest, mine)',
        by: 'void yieldToSurvivors',
      },
    ],
  },
  {
    rule: 'copy-only-from-a-living-leg',
    edits: [
      { file: `${HOST}/resync.ts`, text: 'if (!run.isCurrent()) return fail', by: 'if (signal.aborted) return fail' },
    ],
    redundantWith: {
      line: "the storage host's refusal to copy from a replica that is not in sync",
      edits: [
        {
          file: `${HA}/export-gate.ts`,
          text: "if ((purpose === 'serve' || purpose === 'copy-from') && !granted.inSync)",
          by: "if (purpose === 'serve' && !granted.inSync)",
        },
      ],
    },
  },
  {
    rule: 'hand-over-before-the-last-state',
    edits: [
      {
        file: `${HOST}/departure.ts`,
        text: 'const transfer = await this.#transfer(copied.value)',
        by: 'await this.#letGo(startedMs)\n      const transfer = await this.#transfer(copied.value)',
      },
    ],
  },
  {
    rule: 'promised-epochs-are-spent',
    edits: [
      {
        file: 'packages/core/src/model/grant.ts',
        text: 'Math.max(grant.epoch, grant.spentEpoch ?? 0, grant.handover?.epoch ?? 0)',
        by: 'grant.epoch',
      },
    ],
  },
  {
    rule: 'no-hand-over-by-a-lost-host',
    edits: [
      {
        file: `${HOST}/departure.ts`,
        text: '{ key: KEYS.status(context.self), modRevision: statusRevision },',
        by: '',
      },
    ],
    redundantWith: {
      line: 'what the source knows of itself is asked first',
      edits: [
        {
          file: `${HOST}/departure.ts`,
          text: 'if ((mirror.state.statuses.get(self)?.revision ?? 0n) > revision) return STATUS_CHANGED',
          by: '',
        },
      ],
    },
  },
  {
    rule: 'nothing-becomes-current-during-a-move',
    edits: [{ file: `${HOST}/disk-keeper.ts`, text: "this.#held.abort('the guest is about to move')", by: '' }],
    redundantWith: {
      line: 'legs and records of the disks are compared at the switch, and nobody turns the bitmaps of a replica that is open for a newer run',
      edits: [
        {
          file: `${HA}/export-gate.ts`,
          text: 'const newer = epoch === undefined ? undefined : served.find((each) => each > epoch)',
          by: 'const newer = undefined as number | undefined',
        },
        {
          file: `${HOST}/departure.ts`,
          text: 'const changed = this.#differentLegs(prepared.value)',
          by: 'const changed = undefined as string | undefined',
        },
        {
          file: `${HOST}/departure.ts`,
          text: '...volumes.map(({ volume, revision }) => ({ key: KEYS.volume(volume), modRevision: BigInt(revision) })),',
          by: '',
        },
      ],
    },
  },
]
