import { StateDot } from '../parts/state-badge.tsx'
import { hintOf } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import classes from './console-panel.module.css'
import type { ConsoleState } from './console-state.ts'

const TONES = { connecting: 'busy', connected: 'good', waiting: 'warn', failed: 'bad', exited: 'quiet' } as const

/** One line: where it is connected to, or why it is not and what becomes of that. */
export function ConsoleStatus({ state }: { state: ConsoleState }) {
  return (
    <div className={classes.status} role="status" data-state={state.is}>
      <StateDot tone={TONES[state.is]} />
      <span className={classes.statusText}>
        <Sentence state={state} />
      </span>
    </div>
  )
}

function Sentence({ state }: { state: ConsoleState }) {
  const t = useText()
  switch (state.is) {
    case 'connecting':
      return t('console.connecting')
    case 'connected':
      return t('console.connected', { host: state.host })
    case 'waiting':
      return t('console.waiting', { reason: state.reason })
    case 'failed':
      return [state.failure.message, hintOf(state.failure)].filter(Boolean).join('. ')
    case 'exited':
      return t('console.exited', { code: state.code })
  }
}
