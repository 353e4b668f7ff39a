import { useQuery } from '@tanstack/react-query'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { Icon } from '../parts/icon.tsx'
import { useSession } from '../session/session-context.ts'
import { bodyOf, complaintsAbout, type CreateForm } from './create-form.ts'
import classes from './create-page.module.css'

/** Where the guest would be placed if it were made now, who else was thought of, and what to know of it. */
export function PlacementPreview({ form }: { form: CreateForm }) {
  const t = useText()
  const { client } = useSession()
  const isWhole = complaintsAbout(form) === undefined
  const body = bodyOf(form)
  const plan = useQuery({
    queryKey: ['plan', body],
    enabled: isWhole,
    placeholderData: (before) => before,
    queryFn: () => client.call(ENDPOINTS['guest.plan'], { body }),
  })
  if (!isWhole || !plan.data) return <p className={classes.dim}>{t('create.whereText')}</p>
  if (!plan.data.ok) return <FailureAlert failure={plan.data.error} />
  const { host, volumes, warnings, decision } = plan.data.value
  return (
    <div role="status">
      <p className={classes.host}>{host}</p>
      <p className={classes.dim}>
        {volumes
          .map((volume) => volume.replicas.map((replica) => `${replica.host}/${replica.pool}`).join(' + '))
          .join(', ')}
      </p>
      <ul className={classes.list}>
        {warnings.map((warning) => (
          <li key={warning} className={classes.warning}>
            <Icon name="warning" size={16} /> {warning}
          </li>
        ))}
        {decision.candidates.map((candidate) => (
          <li key={candidate.host}>
            <strong>{candidate.host}</strong>{' '}
            <span className={classes.dim}>{candidate.rejectedBecause || candidate.merits.join('; ')}</span>
          </li>
        ))}
      </ul>
    </div>
  )
}
