/** Is everything protected, and what is at risk right now: as sentences, the worst first. */
import type { GuestView, HostView } from '@stead/api/views.ts'
import type { TextKey } from '../i18n/language.ts'

export interface HealthLine {
  readonly tone: 'bad' | 'warn'
  readonly text: TextKey
  readonly values: Readonly<Record<string, string | number>>
  /** Names of guests, or of hosts. */
  readonly names: readonly string[]
  readonly of: 'guests' | 'hosts'
}

export interface Health {
  readonly headline: 'good' | 'warn' | 'bad'
  readonly lines: readonly HealthLine[]
}

export function healthOf(guests: readonly GuestView[], hosts: readonly HostView[]): Health {
  const guestLine = (tone: HealthLine['tone'], text: TextKey, some: readonly GuestView[]): HealthLine[] =>
    some.length === 0
      ? []
      : [{ tone, text, values: { count: some.length }, names: some.map(({ name }) => name), of: 'guests' }]
  const hostLine = (tone: HealthLine['tone'], text: TextKey, some: readonly HostView[]): HealthLine[] =>
    some.length === 0
      ? []
      : [{ tone, text, values: { count: some.length }, names: some.map(({ name }) => name), of: 'hosts' }]
  const withProtection = (level: GuestView['protection']['level']) =>
    guests.filter(({ protection, volumes }) => protection.level === level && volumes.length > 0)
  const lines = [
    ...hostLine(
      'bad',
      'health.hostsLost',
      hosts.filter(({ state }) => state === 'lost'),
    ),
    ...guestLine('bad', 'health.dataLost', withProtection('lost')),
    ...guestLine(
      'bad',
      'health.failed',
      guests.filter(({ state }) => state === 'error'),
    ),
    ...guestLine(
      'bad',
      'health.waiting',
      guests.filter(({ state }) => state === 'waiting'),
    ),
    ...hostLine(
      'warn',
      'health.hostsSuspected',
      hosts.filter(({ state }) => state === 'suspected' || state === 'unknown'),
    ),
    ...guestLine('warn', 'health.degraded', withProtection('degraded')),
    ...guestLine('warn', 'health.unprotected', withProtection('unprotected')),
    ...guestLine(
      'warn',
      'health.unknown',
      guests.filter(({ state }) => state === 'unknown'),
    ),
    ...hostLine(
      'warn',
      'health.maintenance',
      hosts.filter(({ maintenance }) => maintenance),
    ),
  ]
  const headline = lines.some(({ tone }) => tone === 'bad') ? 'bad' : lines.length > 0 ? 'warn' : 'good'
  return { headline, lines }
}
