/** How busy the pools are against the line of 10 %, and which guests cause it. */
import { Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { StorageLoadView } from '@stead/api/endpoints/metrics.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Panel, Panels } from '../parts/page.tsx'
import { useSession } from '../session/session-context.ts'
import { figureText, ratioText } from './figure-text.ts'
import classes from './storage-load.module.css'

const LOOK_MS = 10_000
/** Twice the line is far too much: what is above needs no room. */
const GAUGE_RATIO_MAX = 0.3
const CAUSES_SHOWN = 4
const POOLS_SHOWN = 4

export function StorageLoad() {
  const t = useText()
  const { client } = useSession()
  const [isAll, setAll] = useState(false)
  const { data } = useQuery({
    queryKey: ['storage-load'],
    refetchInterval: LOOK_MS,
    queryFn: () => client.call(ENDPOINTS['storage.load']),
  })
  if (!data) return <LoadingRows />
  // Who may see volumes only is not told who causes what.
  if (!data.ok && data.error.code === 'forbidden') return null
  if (!data.ok) return <FailureAlert failure={data.error} />
  const { items, silent, lineRatio } = data.value
  const busiest = items.toSorted((a, b) => (b.meanRatio ?? 0) - (a.meanRatio ?? 0))
  return (
    <section aria-label={t('metrics.chart.load')}>
      <p className={classes.rule}>{t('metrics.rule')}</p>
      {silent.length > 0 ? <p className={classes.silent}>{t('metrics.silent', { hosts: silent.join(', ') })}</p> : null}
      <Panels>
        {(isAll ? busiest : busiest.slice(0, POOLS_SHOWN)).map((item) => (
          <PoolLoad key={`${item.host}/${item.pool}`} load={item} lineRatio={lineRatio} />
        ))}
      </Panels>
      {!isAll && items.length > POOLS_SHOWN ? (
        <Button size="xs" variant="subtle" mt="xs" onClick={() => setAll(true)}>
          {t('metrics.allPools', { count: items.length })}
        </Button>
      ) : null}
    </section>
  )
}

function PoolLoad({ load, lineRatio }: { load: StorageLoadView; lineRatio: number }) {
  const t = useText()
  const language = useLanguage()
  const share = (part: number) => ratioText(part, language)
  const mean = load.meanRatio
  const facts = [
    load.nowRatio === null ? '' : t('metrics.now', { load: share(load.nowRatio) }),
    load.writeLatencyMs === null
      ? ''
      : t('metrics.writeTakes', { time: figureText(load.writeLatencyMs, 'ms', language) }),
  ]
  return (
    <Panel title={`${load.host} · ${load.pool}`} aside={<strong>{mean === null ? '–' : share(mean)}</strong>}>
      <Gauge mean={mean ?? 0} lineRatio={lineRatio} />
      <p className={classes.facts}>{facts.filter(Boolean).join(' · ')}</p>
      {load.level === 'busy' ? <p className={classes.busy}>{t('metrics.busy')}</p> : null}
      <ul className={classes.causes} aria-label={t('metrics.causes')}>
        {load.causes.slice(0, CAUSES_SHOWN).map(({ guest, id, share: part }) => (
          <li key={id}>
            <Link to="/guests/$guest" params={{ guest }}>
              {guest}
            </Link>
            <span>{share(part)}</span>
          </li>
        ))}
        {load.othersShare >= 0.01 ? (
          <li>
            <span>{t('metrics.others')}</span>
            <span>{share(load.othersShare)}</span>
          </li>
        ) : null}
      </ul>
    </Panel>
  )
}

function Gauge({ mean, lineRatio }: { mean: number; lineRatio: number }) {
  const at = (ratio: number) => (Math.min(ratio, GAUGE_RATIO_MAX) / GAUGE_RATIO_MAX) * 100
  const tone = mean > lineRatio ? 'bad' : mean > lineRatio * 0.8 ? 'warn' : 'good'
  return (
    <svg className={classes.gauge} viewBox="0 0 100 14" preserveAspectRatio="none" data-tone={tone} aria-hidden="true">
      <rect className={classes.rest} y="3" width="100" height="8" />
      <rect className={classes.part} y="3" width={at(mean)} height="8" />
      <rect className={classes.mark} x={at(lineRatio) - 0.25} width="0.5" height="14" />
    </svg>
  )
}
