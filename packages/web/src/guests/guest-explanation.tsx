import { useQuery } from '@tanstack/react-query'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { momentText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Empty, Panel } from '../parts/page.tsx'
import { useSession } from '../session/session-context.ts'
import { ShortTable } from '../table/short-table.tsx'
import classes from './guest-tabs.module.css'

/** Why it is where it is: the last decision, what was known, who else was thought of. */
export function GuestExplanation({ guest }: { guest: GuestView }) {
  const t = useText()
  const language = useLanguage()
  const { client } = useSession()
  const answer = useQuery({
    // Asked anew when the guest has changed.
    queryKey: ['explanation', guest.id, guest.revision, guest.state, guest.epoch],
    queryFn: () => client.call(ENDPOINTS['guest.explain'], { params: { guest: guest.name } }),
  })
  if (!answer.data) return <LoadingRows />
  if (!answer.data.ok) return <FailureAlert failure={answer.data.error} />
  const { decision, reason, smallestChange, otherChanges } = answer.data.value
  return (
    <div className={classes.column}>
      <Panel title={t('explain.decision')}>
        {reason === '' ? null : <p className={classes.outcome}>{reason}</p>}
        {decision ? (
          <>
            <p className={classes.outcome}>{decision.outcome}</p>
            <p className={classes.dim}>
              {t('explain.by', { host: decision.coordinator, time: momentText(decision.decidedAt, language) })}
            </p>
            <ul className={classes.list}>
              {decision.facts.map((fact) => (
                <li key={fact}>{fact}</li>
              ))}
            </ul>
          </>
        ) : (
          <Empty icon="event" title={t('explain.none')} />
        )}
      </Panel>
      {decision && decision.candidates.length > 0 ? (
        <Panel title={t('explain.candidates')}>
          <ShortTable
            label={t('explain.candidates')}
            columns={[t('column.host'), t('explain.merits'), t('explain.against')]}
          >
            {decision.candidates.map((candidate) => (
              <tr key={candidate.host} data-chosen={candidate.chosen || undefined}>
                <td>
                  <span className={classes.row}>
                    {candidate.host}
                    {candidate.chosen ? (
                      <span title={t('explain.chosen')}>
                        <Icon name="check" size={15} />
                      </span>
                    ) : null}
                  </span>
                </td>
                <td>{candidate.merits.join('; ') || '–'}</td>
                <td>{candidate.rejectedBecause || '–'}</td>
              </tr>
            ))}
          </ShortTable>
        </Panel>
      ) : null}
      {smallestChange === null ? null : (
        <Panel title={t('explain.change')}>
          <ul className={classes.list}>
            {[smallestChange, ...otherChanges].map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </Panel>
      )}
    </div>
  )
}
