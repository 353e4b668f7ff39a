import type { ClusterEvent } from '@stead/core/model/event.ts'

/** An event for people, on one line. */
export function eventLine(event: ClusterEvent): string {
  return `${event.time}  ${event.kind.padEnd(20)}  ${event.subject.padEnd(16)}  ${event.message}\n`
}
