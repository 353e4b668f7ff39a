/** What the guests of a host use now, the busiest first, and what it has promised to its containers. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { GuestUseView, OvercommitView } from '@stead/api/endpoints/counters.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { HostView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { bytesText, percentText } from '../parts/figures.ts'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Panel } from '../parts/page.tsx'
import { ToneBadge } from '../parts/state-badge.tsx'
import { useSession } from '../session/session-context.ts'
import { ShortTable } from '../table/short-table.tsx'
import classes from './host-page.module.css'

const LOOK_MS = 10_000
const LEVEL_TONES = { normal: 'good', high: 'quiet', unsafe: 'warn', dangerous: 'bad' } as const

export function HostUse({ host }: { host: HostView }) {
  return (
    <div className={classes.column}>
      <GuestUse host={host} />
      <Promised host={host} />
    </div>
  )
}

function GuestUse({ host }: { host: HostView }) {
  const t = useText()
  const { client } = useSession()
  const { data } = useQuery({
    queryKey: ['counters-of-all'],
    queryFn: () => client.call(ENDPOINTS['counter.list'], { query: { ageMs: LOOK_MS } }),
    refetchInterval: LOOK_MS,
  })
  const here = (data?.ok ? data.value.items : [])
    .filter((use) => use.host === host.name)
    .toSorted((a, b) => (b.cpuPercent ?? 0) - (a.cpuPercent ?? 0))
  return (
    <Panel title={t('use.title')}>
      {data ? null : <LoadingRows />}
      {data && !data.ok ? <FailureAlert failure={data.error} /> : null}
      {data?.ok && here.length === 0 ? <p className={classes.none}>{t('host.noGuests')}</p> : null}
      {here.length === 0 ? null : (
        <ShortTable
          label={t('use.title')}
          columns={[
            t('use.guest'),
            ...(['cpu', 'memory', 'reads', 'writes', 'receives', 'sends'] as const).map((name) => ({
              text: t(`use.${name}`),
              isFigure: true as const,
            })),
            t('use.refused'),
          ]}
        >
          {here.map((use) => (
            <UseRow key={use.id} use={use} />
          ))}
        </ShortTable>
      )}
    </Panel>
  )
}

function UseRow({ use }: { use: GuestUseView }) {
  const t = useText()
  const language = useLanguage()
  const rate = (bytes: number | null) => (bytes === null ? '–' : `${bytesText(bytes, language)}/s`)
  const size = (bytes: number | null) => (bytes === null ? '–' : bytesText(bytes, language))
  const refused = Object.entries(use.refused)
  return (
    <tr>
      <th scope="row">
        <Link to="/guests/$guest" params={{ guest: use.guest }}>
          {use.guest}
        </Link>
      </th>
      <td data-figure>{use.cpuPercent === null ? '–' : percentText(use.cpuPercent, 100, language)}</td>
      <td data-figure>
        {use.memoryLimitBytes === null
          ? size(use.memoryHeldBytes)
          : t('word.of', { part: size(use.memoryHeldBytes), whole: size(use.memoryLimitBytes) })}
      </td>
      <td data-figure>{rate(use.readBytesPerSecond)}</td>
      <td data-figure>{rate(use.writtenBytesPerSecond)}</td>
      <td data-figure>{rate(use.receivedBytesPerSecond)}</td>
      <td data-figure>{rate(use.sentBytesPerSecond)}</td>
      <td>{refused.length === 0 ? '–' : refused.map(([name, times]) => `${name}: ${times}`).join(', ')}</td>
    </tr>
  )
}

/** By OpenVZ's rules: what it has, what is used of it, what was promised, what could be asked for at most. */
function Promised({ host }: { host: HostView }) {
  const t = useText()
  const { client } = useSession()
  const { data } = useQuery({
    queryKey: ['overcommit', host.name],
    queryFn: () => client.call(ENDPOINTS['host.overcommit'], { query: { host: host.name } }),
    refetchInterval: LOOK_MS,
  })
  const view = data?.ok ? data.value.hosts.find((one) => one.host === host.name) : undefined
  return (
    <Panel title={t('promised.title')}>
      <p className={classes.none}>{t('promised.text')}</p>
      {data ? null : <LoadingRows />}
      {data && !data.ok ? <FailureAlert failure={data.error} /> : null}
      {data?.ok && !view ? <p className={classes.none}>{t('promised.silent')}</p> : null}
      {view ? <PromisedTable view={view} /> : null}
      {view && view.tooLarge.length > 0 ? (
        <p className={classes.none}>{t('promised.tooLarge', { guests: view.tooLarge.join(', ') })}</p>
      ) : null}
    </Panel>
  )
}

function PromisedTable({ view }: { view: OvercommitView }) {
  const t = useText()
  const language = useLanguage()
  const share = (part: number | null) => (part === null ? '∞' : percentText(part, 1, language))
  return (
    <ShortTable
      label={t('promised.title')}
      columns={[
        t('promised.measure'),
        ...(['used', 'promised', 'allowed'] as const).map((name) => ({
          text: t(`promised.${name}`),
          isFigure: true as const,
        })),
        t('column.state'),
      ]}
    >
      {view.rows.map((row) => (
        <tr key={row.measure}>
          <th scope="row">
            <code>{row.measure}</code>
          </th>
          <td data-figure>{share(row.utilization)}</td>
          <td data-figure>{share(row.commitment)}</td>
          <td data-figure>{share(row.reach)}</td>
          <td>
            <ToneBadge tone={LEVEL_TONES[row.level]} text={t(`promised.level.${row.level}`)} />
          </td>
        </tr>
      ))}
    </ShortTable>
  )
}
