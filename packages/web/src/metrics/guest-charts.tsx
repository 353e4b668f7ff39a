/** The charts of a guest, beside those of others. */
import type { GuestView } from '@stead/api/views.ts'
import { useGuests } from '../live/use-live.ts'
import { MetricsCharts } from './metrics-charts.tsx'

export function GuestCharts({ guest }: { guest: GuestView }) {
  const others = useGuests().flatMap(({ name }) => (name === guest.name ? [] : [name]))
  return <MetricsCharts key={guest.id} subject={{ kind: 'guest', name: guest.name }} others={others} />
}
