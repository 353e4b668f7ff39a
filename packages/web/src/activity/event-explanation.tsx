/** Why it happened: the decision that an event tells of, and what came shortly before. */
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { Answered, useAsked } from '../parts/answered.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { momentText } from '../parts/figures.ts'
import { Facts } from '../parts/page.tsx'
import { ShortTable } from '../table/short-table.tsx'
import { EventList } from './event-list.tsx'
import classes from './events-page.module.css'

export function EventExplanation({ event, onClose }: { event: ClusterEvent; onClose: () => void }) {
  const t = useText()
  const language = useLanguage()
  const asked = useAsked(['event-explanation', event.id], (client) =>
    client.call(ENDPOINTS['event.explain'], { params: { event: event.id } }),
  )
  return (
    <Dialog title={event.message} size="xl" onClose={onClose}>
      <Facts
        items={[
          [t('column.time'), momentText(event.time, language)],
          [t('column.event'), <code key="kind">{event.kind}</code>],
          [t('column.reporter'), event.host],
        ]}
      />
      <Answered asked={asked}>
        {({ decision, note, before }) => (
          <>
            <h3 className={classes.heading}>{t('events.decision')}</h3>
            {decision ? (
              <>
                <p className={classes.outcome}>{decision.outcome}</p>
                <ul className={classes.facts}>
                  {decision.facts.map((fact) => (
                    <li key={fact}>{fact}</li>
                  ))}
                </ul>
                {decision.candidates.length === 0 ? null : (
                  <ShortTable
                    label={t('events.decision')}
                    columns={[t('column.host'), t('events.merits'), t('events.against')]}
                  >
                    {decision.candidates.map(({ host, chosen, merits, rejectedBecause }) => (
                      <tr key={host} data-chosen={chosen || undefined}>
                        <th scope="row">{host}</th>
                        <td>{merits.join('; ') || '–'}</td>
                        <td>{rejectedBecause || '–'}</td>
                      </tr>
                    ))}
                  </ShortTable>
                )}
              </>
            ) : (
              <p className={classes.outcome}>{note}</p>
            )}
            <h3 className={classes.heading}>{t('events.before')}</h3>
            <EventList events={before} />
          </>
        )}
      </Answered>
    </Dialog>
  )
}
