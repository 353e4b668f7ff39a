import type { OperationView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { percentText } from '../parts/figures.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import classes from './operation-progress.module.css'

/** How an operation stands: a bar while it runs, else its outcome. */
export function OperationProgress({ operation }: { operation: OperationView }) {
  const t = useText()
  const language = useLanguage()
  if (operation.state !== 'running' || operation.progress <= 0) return <StateBadge state={operation.state} />
  return (
    <span className={classes.progress}>
      <progress className={classes.bar} value={operation.progress} max={1} aria-label={t('column.progress')} />
      <span className={classes.figure}>{percentText(operation.progress, 1, language)}</span>
    </span>
  )
}
