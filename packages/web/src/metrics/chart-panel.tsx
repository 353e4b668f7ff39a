/** One chart with its title, the names of its lines with their figures, and the same as a table. */
import { useComputedColorScheme } from '@mantine/core'
import { useState } from 'react'
import type { TextKey } from '../i18n/language.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { clockText } from '../parts/figures.ts'
import { colorOf, dashOf } from './chart-colors.ts'
import { digestOf, type Chart, type ChartId, type ChartSeries } from './chart-model.ts'
import { figureText } from './figure-text.ts'
import { TimeChart } from './time-chart.tsx'
import classes from './metrics-charts.module.css'

const TITLES = {
  cpu: 'metrics.chart.cpu',
  memory: 'metrics.chart.memory',
  network: 'metrics.chart.network',
  requests: 'metrics.chart.requests',
  throughput: 'metrics.chart.throughput',
  latency: 'metrics.chart.latency',
  load: 'metrics.chart.load',
  room: 'metrics.chart.room',
} as const satisfies Record<ChartId, TextKey>

/** Of charts with two lines for one subject. */
const LINES: Readonly<Record<string, TextKey>> = {
  readLatencyMs: 'metrics.line.read',
  writeLatencyMs: 'metrics.line.write',
  readsPerSecond: 'metrics.line.read',
  writesPerSecond: 'metrics.line.write',
  readBytesPerSecond: 'metrics.line.read',
  writtenBytesPerSecond: 'metrics.line.write',
  receivedBytesPerSecond: 'metrics.line.received',
  sentBytesPerSecond: 'metrics.line.sent',
}

interface ChartPanelProps {
  readonly chart: Chart
  readonly subjects: number
  readonly onZoom: (fromMs: number, toMs: number) => void
}

export function ChartPanel({ chart, subjects, onZoom }: ChartPanelProps) {
  const t = useText()
  const language = useLanguage()
  const scheme = useComputedColorScheme('light')
  const [step, setStep] = useState<number>()
  const title = t(TITLES[chart.id])
  const nameOf = ({ subject, metric }: ChartSeries) => {
    const line = LINES[metric]
    const words = line === undefined ? [] : [t(line)]
    return [...(subjects > 1 || words.length === 0 ? [subject] : []), ...words].join(' · ')
  }
  const said = (figure: number | null | undefined) =>
    typeof figure === 'number' ? figureText(figure, chart.unit, language) : '–'
  const rows = chart.series.map((series) => ({ series, name: nameOf(series), digest: digestOf(series.figures) }))
  const label = `${title}: ${rows.map(({ name, digest }) => `${name} ${said(digest?.last)}`).join(', ')}`
  const at = step === undefined ? undefined : chart.times[step]
  return (
    <figure className={classes.chart} aria-label={title}>
      <figcaption className={classes.head}>
        <span className={classes.title}>{title}</span>
        <span className={classes.moment}>{at === undefined ? '' : clockText(at, language)}</span>
      </figcaption>
      <TimeChart {...{ chart, subjects, language, label, onZoom }} onCursor={setStep} />
      <ul className={classes.lines}>
        {rows.map(({ series, name, digest }) => (
          <li key={`${series.subject} ${series.metric}`} className={classes.line}>
            <svg width="18" height="8" aria-hidden="true">
              <line
                x1="0"
                x2="18"
                y1="4"
                y2="4"
                strokeWidth="2.5"
                stroke={colorOf(series, subjects, scheme)}
                strokeDasharray={dashOf(series).join(' ')}
              />
            </svg>
            <span>{name}</span>
            <strong>{said(step === undefined ? digest?.last : series.figures[step])}</strong>
          </li>
        ))}
        {chart.id === 'load' ? <li className={classes.line}>{t('metrics.lineText')}</li> : null}
      </ul>
      <details className={classes.table}>
        <summary>{t('metrics.table')}</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">{title}</th>
              <th scope="col">{t('metrics.last')}</th>
              <th scope="col">{t('metrics.mean')}</th>
              <th scope="col">{t('metrics.most')}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ series, name, digest }) => (
              <tr key={`${series.subject} ${series.metric}`}>
                <th scope="row">{name}</th>
                <td>{said(digest?.last)}</td>
                <td>{said(digest?.mean)}</td>
                <td>{said(digest?.most)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  )
}
