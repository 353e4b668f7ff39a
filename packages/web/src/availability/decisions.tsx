/** What the cluster decided by itself, newest first: each choice, what was known, who else was thought of. */
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ResponseOf } from '@stead/api/endpoint.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { Answered, useAsked } from '../parts/answered.tsx'
import { FilterField } from '../parts/filter-field.tsx'
import { momentText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { Empty, Panel } from '../parts/page.tsx'
import { useLive } from '../live/use-live.ts'
import { filtered } from '../table/row-order.ts'
import { ShortTable } from '../table/short-table.tsx'
import classes from './decisions.module.css'

type Replay = ResponseOf<(typeof ENDPOINTS)['decision.replay']>
type Reasons = Replay['reasons'][number]

/** There may be a thousand of each host; older ones are found by the filter. */
const SHOWN_MAX = 100

export function Decisions() {
  const t = useText()
  const language = useLanguage()
  const newestEvent = useLive((state) => state.events.at(-1)?.id)
  const asked = useAsked(['decisions', newestEvent], (client) => client.call(ENDPOINTS['decision.list']))
  const [query, setQuery] = useState('')
  const [chosen, setChosen] = useState<string>()
  return (
    <Answered asked={asked}>
      {({ items }) => {
        if (items.length === 0) return <Empty icon="event" title={t('decisions.none')} />
        const found = filtered(items, query, ({ choices }) =>
          choices.map((one) => `${one.subject} ${one.choice}`).join(' '),
        )
        const shown = found.find(({ id }) => id === chosen) ?? found[0]
        return (
          <div className={classes.columns}>
            <div className={classes.side}>
              <FilterField label={t('decisions.filter')} value={query} onChange={setQuery} />
              <ol className={classes.list} aria-label={t('decisions.title')}>
                {found.slice(0, SHOWN_MAX).map(({ id, decidedAt, choices }) => (
                  <li key={id}>
                    <button
                      type="button"
                      className={classes.item}
                      aria-pressed={id === shown?.id}
                      onClick={() => setChosen(id)}
                    >
                      <span className={classes.time}>{momentText(decidedAt, language)}</span>
                      {choices.slice(0, 3).map((one) => (
                        <span key={one.subject} className={classes.choice}>
                          <strong>{nameOf(one.subject)}</strong> {one.choice}
                        </span>
                      ))}
                      {choices.length > 3 ? <span>{t('overview.andMore', { count: choices.length - 3 })}</span> : null}
                    </button>
                  </li>
                ))}
              </ol>
            </div>
            {shown ? <Decision key={shown.id} id={shown.id} /> : <Empty icon="search" title={t('guests.noneFound')} />}
          </div>
        )
      }}
    </Answered>
  )
}

function Decision({ id }: { id: string }) {
  const t = useText()
  const language = useLanguage()
  const asked = useAsked(['decision', id], (client) =>
    client.call(ENDPOINTS['decision.replay'], { params: { decision: id } }),
  )
  return (
    <Answered asked={asked}>
      {({ decidedAt, recorded, same, differences, reasons }) => (
        <div className={classes.column}>
          <Panel
            title={t('decisions.plan')}
            aside={<time dateTime={decidedAt}>{momentText(decidedAt, language)}</time>}
          >
            <ul className={classes.choices}>
              {recorded.map((one) => (
                <li key={one.subject}>
                  <strong>{nameOf(one.subject)}</strong> {one.choice}
                </li>
              ))}
            </ul>
            <p className={classes.again} data-same={same}>
              <Icon name={same ? 'check' : 'warning'} size={16} />
              {same ? t('decisions.same') : t('decisions.differs')}
            </p>
            {differences.map((one) => (
              <p key={one.subject} className={classes.dim}>
                {nameOf(one.subject)}: {one.was} → {one.isNow}
              </p>
            ))}
            <p className={classes.dim}>
              <code>{id}</code>
            </p>
          </Panel>
          {reasons.map((one) => (
            <Reason key={one.guest} reason={one} />
          ))}
        </div>
      )}
    </Answered>
  )
}

function Reason({ reason }: { reason: Reasons }) {
  const t = useText()
  return (
    <Panel title={reason.guest}>
      <p className={classes.outcome}>{reason.outcome}</p>
      <ul className={classes.facts}>
        {reason.facts.map((fact) => (
          <li key={fact}>{fact}</li>
        ))}
      </ul>
      {reason.candidates.length === 0 ? null : (
        <ShortTable label={reason.guest} columns={[t('column.host'), t('decisions.merits'), t('decisions.against')]}>
          {reason.candidates.map((candidate) => (
            <tr key={candidate.host} data-chosen={candidate.chosen || undefined}>
              <th scope="row">
                {candidate.host} {candidate.chosen ? <Icon name="check" size={14} /> : null}
              </th>
              <td>{candidate.merits.join('; ') || '–'}</td>
              <td>{candidate.rejectedBecause || (candidate.chosen ? t('decisions.chosen') : '–')}</td>
            </tr>
          ))}
        </ShortTable>
      )}
    </Panel>
  )
}

function nameOf(subject: string): string {
  return subject.replace(/^(guest|host)\//, '')
}
