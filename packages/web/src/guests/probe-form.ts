/** A probe as a form holds it. What the form has no field for stays as it was. */
import type { z } from 'zod'
import type { setProbeBody } from '@stead/api/endpoints/lifecycle.ts'
import type { GuestView } from '@stead/api/views.ts'
import { PROBE_DEFAULTS } from '@stead/core/model/probe.ts'

export const PROBE_KINDS = ['tcp', 'http', 'agent', 'console'] as const

export type ProbeBody = z.input<typeof setProbeBody>
type Known = GuestView['probe']

export interface ProbeForm {
  readonly kind: (typeof PROBE_KINDS)[number]
  readonly port: number
  readonly address: string
  readonly path: string
  readonly find: string
  readonly periodSeconds: number
  readonly timeoutMs: number
  readonly failureThreshold: number
  readonly successThreshold: number
  readonly initialDelaySeconds: number
  readonly onFailure: 'report' | 'restart'
  readonly known: Known
}

export function probeForm(known: Known): ProbeForm {
  const { check = { kind: 'tcp' as const, port: 80 }, ...times } = known ?? {}
  const { initialDelayMs, periodMs, timeoutMs, failureThreshold, successThreshold, onFailure } = {
    ...PROBE_DEFAULTS,
    ...times,
  }
  return {
    kind: check.kind,
    port: 'port' in check ? check.port : 80,
    address: ('address' in check ? check.address : undefined) ?? '',
    path: 'path' in check ? check.path : '/',
    find: 'find' in check ? check.find : 'login:',
    periodSeconds: periodMs / 1_000,
    initialDelaySeconds: initialDelayMs / 1_000,
    ...{ timeoutMs, failureThreshold, successThreshold, onFailure, known },
  }
}

export function probeOf(form: ProbeForm): ProbeBody {
  const { known, periodSeconds, initialDelaySeconds, timeoutMs, failureThreshold, successThreshold, onFailure } = form
  const { check: _check, ...kept } = known ?? { check: undefined }
  const times = {
    initialDelayMs: Math.round(initialDelaySeconds * 1_000),
    periodMs: Math.round(periodSeconds * 1_000),
    ...{ timeoutMs, failureThreshold, successThreshold, onFailure },
  }
  return { ...kept, check: checkOf(form), ...times }
}

function checkOf({ kind, port, address, path, find, known }: ProbeForm): ProbeBody['check'] {
  const at = { port, ...(address.trim() === '' ? {} : { address: address.trim() }) }
  const before = known?.check
  switch (kind) {
    case 'tcp':
      return { kind, ...at }
    case 'http': {
      const { status, body } = before?.kind === 'http' ? before : {}
      return { kind, ...at, path, ...(status === undefined ? {} : { status }), ...(body === undefined ? {} : { body }) }
    }
    case 'agent':
      return { kind }
    case 'console':
      return { kind, find, as: before?.kind === 'console' ? before.as : 'text' }
  }
}
