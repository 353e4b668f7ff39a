/** What the forms hold, and the request that comes of it. The API's own schema judges it. */
import type { z } from 'zod'
import { createGuestBody } from '@stead/api/endpoints/guests.ts'
import { describeIssues, pathText } from '@stead/api/issues.ts'

export const GIB = 2 ** 30
const MIB = 2 ** 20
const BLOCK = 4096

export interface CreateForm {
  readonly kind: 'vm' | 'ct'
  readonly name: string
  readonly cpus: number
  readonly memoryGib: number
  readonly diskGib: number
  /** How many hosts hold a copy of the disk. */
  readonly copies: 1 | 2 | 3
  /** Of a machine: what fills its disk; '' nothing. Of a container: its template. */
  readonly source: string
  /** Of a machine: what lies in its CD drive; '' nothing. */
  readonly cdrom: string
  readonly host: string
  readonly start: boolean
  readonly display: boolean
  readonly uefi: boolean
  /** Of a container, separated by commas. */
  readonly addresses: string
}

export type CreateBody = z.input<typeof createGuestBody>

export function emptyForm(kind: CreateForm['kind']): CreateForm {
  return {
    kind,
    name: '',
    cpus: kind === 'vm' ? 2 : 1,
    memoryGib: kind === 'vm' ? 2 : 1,
    diskGib: kind === 'vm' ? 20 : 8,
    copies: 2,
    source: '',
    cdrom: '',
    host: '',
    start: true,
    display: false,
    uefi: false,
    addresses: '',
  }
}

export function bodyOf(form: CreateForm): CreateBody {
  const sizeBytes = Math.round((form.diskGib * GIB) / BLOCK) * BLOCK
  const isMachine = form.kind === 'vm'
  const addresses = form.addresses.split(/[\s,]+/).filter(Boolean)
  return {
    name: form.name.trim(),
    cpus: form.cpus,
    memoryBytes: Math.round((form.memoryGib * GIB) / MIB) * MIB,
    disks: [{ sizeBytes, replicas: form.copies, ...(isMachine && form.source !== '' ? { image: form.source } : {}) }],
    boot: { kind: isMachine ? 'disk' : 'container' },
    ...(isMachine ? {} : { container: { template: form.source, ...(addresses.length > 0 ? { addresses } : {}) } }),
    ...(form.host === '' ? {} : { host: form.host }),
    ...(isMachine && form.display ? { display: 'vga' as const } : {}),
    ...(isMachine && form.uefi ? { platform: { firmware: 'uefi' as const } } : {}),
    ...(isMachine && form.cdrom !== '' ? { media: { cdrom: form.cdrom } } : {}),
    start: form.start,
  }
}

/** Where the fields of the request stand in the form. */
const FIELDS: Readonly<Record<string, keyof CreateForm>> = {
  name: 'name',
  cpus: 'cpus',
  memoryBytes: 'memoryGib',
  'disks[0].sizeBytes': 'diskGib',
  'container.template': 'source',
}

export interface Complaints {
  readonly fields: Partial<Record<keyof CreateForm, string>>
  /** Of what stands in no field. */
  readonly rest: string
}

/** What the schema says against the form; undefined when nothing. */
export function complaintsAbout(form: CreateForm): Complaints | undefined {
  const checked = createGuestBody.safeParse(bodyOf(form))
  const fields: Partial<Record<keyof CreateForm, string>> = {}
  const rest: z.core.$ZodIssue[] = []
  for (const issue of checked.error?.issues ?? []) {
    const path = pathText(issue.path)
    const field = path.startsWith('container.addresses') ? 'addresses' : FIELDS[path]
    if (field) fields[field] ??= issue.message
    else rest.push(issue)
  }
  // The schema has it as a text of any kind.
  if (form.kind === 'ct' && form.source === '') fields.source ??= 'must be a template'
  if (Object.keys(fields).length === 0 && rest.length === 0) return undefined
  return { fields, rest: rest.length === 0 ? '' : describeIssues(rest, createGuestBody).message }
}
