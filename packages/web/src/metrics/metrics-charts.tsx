/** What was measured of guests, hosts and pools: a chart each, one time for all, to be compared and taken along. */
import { Alert, Button, MultiSelect, SegmentedControl, useComputedColorScheme } from '@mantine/core'
import { useRef, useState } from 'react'
import type { TextKey } from '../i18n/language.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { momentText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Empty } from '../parts/page.tsx'
import { saveText } from '../parts/save-file.ts'
import { AXIS_COLOR, SUBJECTS_MAX, SURFACE } from './chart-colors.ts'
import { ChartPanel } from './chart-panel.tsx'
import { chartsOf, csvOf, RANGES, shifted, silentHosts, type RangeName, type ShownTime } from './chart-model.ts'
import { savePicture } from './save-picture.ts'
import { useMetrics, type MetricsSubject } from './use-metrics.ts'
import classes from './metrics-charts.module.css'

interface MetricsChartsProps {
  readonly subject: MetricsSubject
  /** Names of the same kind with which it can be compared; absent: with none. */
  readonly others?: readonly string[]
}

const RANGE_TEXTS = {
  hour: 'metrics.range.hour',
  sixHours: 'metrics.range.sixHours',
  day: 'metrics.range.day',
  week: 'metrics.range.week',
  month: 'metrics.range.month',
  year: 'metrics.range.year',
} as const satisfies Record<RangeName, TextKey>

export function MetricsCharts({ subject, others = [] }: MetricsChartsProps) {
  const t = useText()
  const scheme = useComputedColorScheme('light')
  const place = useRef<HTMLDivElement>(null)
  const [shown, setShown] = useState<ShownTime>({ is: 'live', range: 'hour' })
  const [compared, setCompared] = useState<string[]>([])
  const subjects = [subject, ...compared.map((name): MetricsSubject => ({ ...subject, name }))]
  const { views, failure, isLoading } = useMetrics(subjects, shown)
  const charts = chartsOf(views)
  const silent = silentHosts(views)
  const file = `${subjects.map(({ name }) => name).join('-')}-${new Date().toISOString().slice(0, 16).replace(':', '')}`
  return (
    <div className={classes.metrics} ref={place}>
      <TimeChoice shown={shown} onShow={setShown}>
        <Button
          size="xs"
          variant="default"
          disabled={charts.length === 0}
          onClick={() => saveText(`${file}.csv`, csvOf(views))}
        >
          CSV
        </Button>
        <Button
          size="xs"
          variant="default"
          disabled={charts.length === 0}
          onClick={() => {
            const colors = { surface: SURFACE[scheme], text: AXIS_COLOR[scheme].text }
            if (place.current) savePicture(`${file}.png`, place.current, colors)
          }}
        >
          PNG
        </Button>
      </TimeChoice>
      {others.length > 0 ? (
        <MultiSelect
          size="xs"
          className={classes.compare}
          label={t('metrics.compare')}
          placeholder={compared.length === 0 ? t('metrics.compareNone') : ''}
          data={others}
          value={compared}
          onChange={setCompared}
          maxValues={SUBJECTS_MAX - 1}
          limit={100}
          searchable
          clearable
        />
      ) : null}
      {silent.length > 0 ? (
        <Alert color="yellow" variant="light" icon={<Icon name="warning" />}>
          {t('metrics.silent', { hosts: silent.join(', ') })}
        </Alert>
      ) : null}
      {failure ? <FailureAlert failure={failure} /> : null}
      {isLoading ? <LoadingRows /> : null}
      {!isLoading && !failure && charts.length === 0 ? (
        <Empty icon="operation" title={t('metrics.none')} text={t('metrics.noneText')} />
      ) : null}
      <div className={classes.charts}>
        {charts.map((chart) => (
          <ChartPanel
            key={chart.id}
            chart={chart}
            subjects={subjects.length}
            onZoom={(fromMs, toMs) => setShown({ is: 'fixed', fromMs, toMs })}
          />
        ))}
      </div>
    </div>
  )
}

function TimeChoice(props: {
  readonly shown: ShownTime
  readonly onShow: (shown: ShownTime) => void
  readonly children: React.ReactNode
}) {
  const { shown, onShow } = props
  const t = useText()
  const language = useLanguage()
  return (
    <div className={classes.time}>
      <SegmentedControl
        size="xs"
        aria-label={t('metrics.range')}
        data={(Object.keys(RANGES) as RangeName[]).map((value) => ({ value, label: t(RANGE_TEXTS[value]) }))}
        value={shown.is === 'live' ? shown.range : ''}
        onChange={(range) => onShow({ is: 'live', range: range as RangeName })}
      />
      <Button size="xs" variant="default" onClick={() => onShow(shifted(shown, -1, Date.now()))}>
        {t('metrics.earlier')}
      </Button>
      <Button
        size="xs"
        variant="default"
        disabled={shown.is === 'live'}
        onClick={() => onShow(shifted(shown, 1, Date.now()))}
      >
        {t('metrics.later')}
      </Button>
      <span className={classes.span} aria-live="polite">
        {shown.is === 'live'
          ? t('metrics.live')
          : `${momentText(shown.fromMs, language)} – ${momentText(shown.toMs, language)}`}
      </span>
      <span className={classes.files}>{props.children}</span>
    </div>
  )
}
