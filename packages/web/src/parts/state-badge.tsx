/** States as a dot and a word: the colour alone tells nothing to some. */
import type { GuestView, HostView, OperationView } from '@stead/api/views.ts'
import type { TextKey } from '../i18n/language.ts'
import { useText } from '../i18n/texts.ts'
import classes from './state-badge.module.css'

type Tone = 'good' | 'busy' | 'quiet' | 'warn' | 'bad'

const TONES: Readonly<Record<GuestView['state'] | HostView['state'] | OperationView['state'], Tone>> = {
  running: 'good',
  online: 'good',
  succeeded: 'good',
  creating: 'busy',
  starting: 'busy',
  stopping: 'busy',
  deleting: 'busy',
  draining: 'busy',
  stopped: 'quiet',
  maintenance: 'quiet',
  paused: 'warn',
  waiting: 'warn',
  suspected: 'warn',
  unknown: 'warn',
  error: 'bad',
  lost: 'bad',
  failed: 'bad',
}

export function toneOf(state: keyof typeof TONES): Tone {
  return TONES[state]
}

export function StateDot({ tone }: { tone: Tone }) {
  return <span className={classes.dot} data-tone={tone} aria-hidden="true" />
}

export function StateBadge({ state }: { state: keyof typeof TONES }) {
  const t = useText()
  return <ToneBadge tone={toneOf(state)} text={t(`state.${state}`)} />
}

const PROTECTION_TONES = { protected: 'good', degraded: 'warn', unprotected: 'warn', lost: 'bad' } as const

export function ProtectionBadge({ protection }: { protection: GuestView['protection'] }) {
  const t = useText()
  const key: TextKey = `protection.${protection.level}`
  return <ToneBadge tone={PROTECTION_TONES[protection.level]} text={t(key)} title={protection.reason} />
}

const REPLICA_TONES = { 'in-sync': 'good', syncing: 'busy', stale: 'warn' } as const

export function ReplicaBadge({ state }: { state: keyof typeof REPLICA_TONES }) {
  const t = useText()
  return <ToneBadge tone={REPLICA_TONES[state]} text={t(`replica.${state}`)} />
}

export function ToneBadge({ tone, text, title }: { tone: Tone; text: string; title?: string }) {
  return (
    <span className={classes.badge} data-tone={tone} title={title === '' ? undefined : title}>
      <StateDot tone={tone} />
      {text}
    </span>
  )
}
