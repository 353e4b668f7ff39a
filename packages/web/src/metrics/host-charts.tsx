/** The charts of a host, or of one of its pools. */
import { SegmentedControl } from '@mantine/core'
import { useState } from 'react'
import type { HostView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { useHosts } from '../live/use-live.ts'
import { MetricsCharts } from './metrics-charts.tsx'

const WHOLE = ''

export function HostCharts({ host }: { host: HostView }) {
  const t = useText()
  const others = useHosts().flatMap(({ name }) => (name === host.name ? [] : [name]))
  const [pool, setPool] = useState(WHOLE)
  return (
    <>
      {host.pools.length > 0 ? (
        <SegmentedControl
          size="xs"
          mb="sm"
          aria-label={t('metrics.of')}
          data={[
            { value: WHOLE, label: t('metrics.wholeHost') },
            ...host.pools.map(({ name }) => ({ value: name, label: t('metrics.pool', { name }) })),
          ]}
          value={pool}
          onChange={setPool}
        />
      ) : null}
      {pool === WHOLE ? (
        <MetricsCharts key={host.name} subject={{ kind: 'host', name: host.name }} others={others} />
      ) : (
        <MetricsCharts key={`${host.name}/${pool}`} subject={{ kind: 'pool', host: host.name, name: pool }} />
      )}
    </>
  )
}
