/**
 * What hosts measure of themselves, of their pools and of the guests that run on them. docs/internals/metrics.md.
 *
 * A row of figures is kept in this order, for a year: a new metric comes last in its list, and none is taken out.
 */

export type MetricUnit = 'cores' | 'bytes' | 'bytes/s' | '1/s' | 'ms' | 'ratio'

export interface Metric {
  readonly name: string
  readonly unit: MetricUnit
  readonly meaning: string
}

const DISK = [
  { name: 'readsPerSecond', unit: '1/s', meaning: 'read requests' },
  { name: 'writesPerSecond', unit: '1/s', meaning: 'write requests' },
  { name: 'readBytesPerSecond', unit: 'bytes/s', meaning: 'read' },
  { name: 'writtenBytesPerSecond', unit: 'bytes/s', meaning: 'written' },
  { name: 'readLatencyMs', unit: 'ms', meaning: 'how long a read took' },
  { name: 'writeLatencyMs', unit: 'ms', meaning: 'how long a write took' },
] as const satisfies readonly Metric[]

const MACHINE = [
  { name: 'cpuCores', unit: 'cores', meaning: 'processors kept busy' },
  { name: 'memoryBytes', unit: 'bytes', meaning: 'memory in use' },
  { name: 'receivedBytesPerSecond', unit: 'bytes/s', meaning: 'received from the network' },
  { name: 'sentBytesPerSecond', unit: 'bytes/s', meaning: 'sent to the network' },
  ...DISK,
] as const satisfies readonly Metric[]

export const METRICS = {
  guest: MACHINE,
  host: [
    ...MACHINE,
    {
      name: 'storageBusyRatio',
      unit: 'ratio',
      meaning: 'part of the time in which its busiest pool had a request to serve',
    },
  ],
  pool: [
    ...DISK,
    { name: 'storageBusyRatio', unit: 'ratio', meaning: 'part of the time in which it had a request to serve' },
    { name: 'usedBytes', unit: 'bytes', meaning: 'taken of the file system that it lies on' },
  ],
} as const satisfies Readonly<Record<string, readonly Metric[]>>

export type SubjectKind = keyof typeof METRICS
export type MetricName<Kind extends SubjectKind = SubjectKind> = (typeof METRICS)[Kind][number]['name']

/** What was measured; what nobody could measure is left out. */
export type Figures<Kind extends SubjectKind = SubjectKind> = { readonly [Name in MetricName<Kind>]?: number }

/** `host`, `pool/default`, `guest/<id>`: as one host names what it measures. */
export type MetricSubject = 'host' | `pool/${string}` | `guest/${string}`

/** In the order in which rows are kept. */
export function metricsOf(subject: MetricSubject): readonly Metric[] {
  return METRICS[subject === 'host' ? 'host' : subject.startsWith('pool/') ? 'pool' : 'guest']
}
