/** Images that are being made of what was uploaded; each can be called off. */
import { CallOffButton } from '../activity/call-off-button.tsx'
import { OperationProgress } from '../activity/operation-progress.tsx'
import { useText } from '../i18n/texts.ts'
import { useOperations } from '../live/use-live.ts'
import classes from './listing.module.css'

export function ImportsNow() {
  const t = useText()
  const running = useOperations().filter(
    ({ kind, state }) => kind === 'image.import' && (state === 'running' || state === 'waiting'),
  )
  if (running.length === 0) return null
  return (
    <ul className={classes.keys} aria-label={t('images.now')}>
      {running.map((operation) => (
        <li key={operation.id}>
          <span>
            <strong>{operation.subjectName}</strong> {operation.message}
          </span>
          <OperationProgress operation={operation} />
          <CallOffButton operation={operation} />
        </li>
      ))}
    </ul>
  )
}
