/** What the forms hold, and the request that comes of it. The API's own schema judges it. */
import type { z } from 'zod'
import { createGuestBody } from '@stead/api/endpoints/guests.ts'
import { describeIssues, pathText } from '@stead/api/issues.ts'
import { cloudInitOf, emptyCloudInit, type CloudInitForm } from './create-cloud-init.ts'
import { emptyLimits, limitsOf, type LimitsForm } from './container-limits-form.ts'
import { askedCopyOf, NO_ROOT_COPY, type RootCopyForm } from './root-copy-form.ts'

export const GIB = 2 ** 30
const MIB = 2 ** 20
const BLOCK = 4096

/** '' stands for what is left to the cluster. */
export interface DiskForm {
  /** Tells one from another while they come and go. */
  readonly key: number
  readonly sizeGib: number
  /** How many hosts hold a copy. */
  readonly copies: 1 | 2 | 3
  readonly pool: string
  /** Of a machine: what fills it; '' nothing. */
  readonly image: string
  /** Of an image of several disks: which, from 0. */
  readonly imageDisk: number
  /** It shares the image's blocks instead of copying them. */
  readonly linked: boolean
  /** Of a container, but for its first. */
  readonly mountPath: string
}

export interface CreateForm {
  readonly kind: 'vm' | 'ct'
  readonly name: string
  readonly project: string
  readonly cpus: number
  readonly memoryGib: number
  /** Up to which it can grow while it runs. */
  readonly cpusMax: number | ''
  readonly memoryMaxGib: number | ''
  readonly disks: readonly DiskForm[]
  /** Of a machine: what lies in its CD drive; '' nothing. */
  readonly cdrom: string
  /** Of a container. */
  readonly template: string
  readonly host: string
  readonly start: boolean
  readonly nic: boolean
  readonly display: boolean
  readonly firmware: 'bios' | 'uefi' | 'uefi-secure'
  readonly tpm: boolean
  readonly watchdog: '' | 'poweroff' | 'reset' | 'pause'
  readonly processor: 'baseline' | 'host'
  readonly dedicatedCpus: boolean
  /** Into which its memory and processors are divided. */
  readonly numaNodes: number
  readonly hugePages: '' | '2M' | '1G'
  /** Classes, one device of each. */
  readonly devices: readonly string[]
  readonly cloudInit: CloudInitForm
  /** Of a container, separated by commas or spaces. */
  readonly addresses: string
  readonly gateways: string
  readonly nameservers: string
  readonly searchDomains: string
  readonly hostname: string
  readonly privileged: boolean
  readonly nesting: boolean
  /** Its root is a subvolume of one host, mirrored by nothing. */
  readonly isRootNative: boolean
  /** What follows such a root. */
  readonly rootCopy: RootCopyForm
  readonly limits: LimitsForm
}

export type CreateBody = z.input<typeof createGuestBody>

export function emptyForm(kind: CreateForm['kind']): CreateForm {
  return {
    kind,
    ...{ name: '', project: '', host: '', start: true, nic: true },
    cpus: kind === 'vm' ? 2 : 1,
    memoryGib: kind === 'vm' ? 2 : 1,
    ...{ cpusMax: '', memoryMaxGib: '' },
    disks: [emptyDisk(0, kind === 'vm' ? 20 : 8)],
    ...{ cdrom: '', display: false, firmware: 'bios', tpm: false, watchdog: '', processor: 'baseline' },
    ...{ dedicatedCpus: false, numaNodes: 1, hugePages: '', devices: [], cloudInit: emptyCloudInit() },
    ...{ template: '', addresses: '', gateways: '', nameservers: '', searchDomains: '', hostname: '' },
    ...{ privileged: false, nesting: false, isRootNative: false, rootCopy: NO_ROOT_COPY, limits: emptyLimits() },
  }
}

export function emptyDisk(key: number, sizeGib: number): DiskForm {
  return { key, sizeGib, copies: 2, pool: '', image: '', imageDisk: 0, linked: false, mountPath: '' }
}

/** What an image says of the machine that it was made of. */
export interface ImageFacts {
  readonly name: string
  readonly virtualSizeBytes: number
  readonly moreDisks?: readonly { readonly virtualSizeBytes: number }[] | undefined
  readonly hardware?: { readonly memoryBytes?: number; readonly cpus?: number } | undefined
}

/** The first disk is filled by the image, whose other disks come with it; disks have at least its size. */
export function withImage(form: CreateForm, image: ImageFacts | undefined): CreateForm {
  const [first = emptyDisk(0, 20), ...others] = form.disks
  const own = others.filter((disk) => disk.image !== first.image || first.image === '')
  if (!image) return { ...form, disks: [{ ...first, image: '', imageDisk: 0, linked: false }, ...own] }
  const least = (sizeGib: number, bytes: number) => Math.max(sizeGib, Math.ceil(bytes / GIB))
  const more = (image.moreDisks ?? []).map((disk, index) => ({
    ...emptyDisk(nextKey(form.disks) + index, least(1, disk.virtualSizeBytes)),
    ...{ copies: first.copies, pool: first.pool, image: image.name, imageDisk: index + 1 },
  }))
  const { memoryBytes, cpus } = image.hardware ?? {}
  return {
    ...form,
    disks: [
      { ...first, image: image.name, imageDisk: 0, sizeGib: least(first.sizeGib, image.virtualSizeBytes) },
      ...more,
      ...own,
    ],
    ...(memoryBytes === undefined ? {} : { memoryGib: memoryBytes / GIB }),
    ...(cpus === undefined ? {} : { cpus }),
    // Whatever has no disk yet is installed by hand; an image wants to know who may log in.
    cloudInit: { ...form.cloudInit, isWanted: true },
  }
}

/** Such a root is the only disk, and has no other copy. */
export function withNativeRoot(form: CreateForm, isRootNative: boolean): Partial<CreateForm> {
  const [root = emptyDisk(0, 8)] = form.disks
  return isRootNative
    ? { isRootNative, disks: [{ ...root, copies: 1 }] }
    : { isRootNative, rootCopy: NO_ROOT_COPY, disks: [{ ...root, copies: 2 }, ...form.disks.slice(1)] }
}

export function nextKey(disks: readonly DiskForm[]): number {
  return Math.max(-1, ...disks.map(({ key }) => key)) + 1
}

export function bodyOf(form: CreateForm): CreateBody {
  const { name, project, host, cpus, cpusMax, memoryMaxGib, nic, start } = form
  return {
    name: name.trim(),
    ...(project === '' ? {} : { project }),
    cpus,
    ...(cpusMax === '' ? {} : { cpusMax }),
    memoryBytes: memoryBytesOf(form.memoryGib),
    ...(memoryMaxGib === '' ? {} : { memoryMaxBytes: memoryBytesOf(memoryMaxGib) }),
    disks: form.disks.map((disk) => diskOf(disk, form.kind)),
    ...(host === '' ? {} : { host }),
    ...(nic ? {} : { nic }),
    ...(form.kind === 'vm' ? machineOf(form) : containerOf(form)),
    start,
  }
}

function diskOf({ sizeGib, copies, pool, image, imageDisk, linked }: DiskForm, kind: CreateForm['kind']) {
  const ofImage = kind === 'vm' && image !== ''
  return {
    sizeBytes: sizeBytesOf(sizeGib),
    replicas: copies,
    ...(pool === '' ? {} : { pool }),
    ...(ofImage ? { image } : {}),
    ...(ofImage && imageDisk > 0 ? { imageDisk } : {}),
    ...(ofImage && linked ? { linked } : {}),
  }
}

function machineOf(form: CreateForm): Pick<CreateBody, 'boot' | 'display' | 'media' | 'platform' | 'processor'> {
  const { firmware, tpm, watchdog, hugePages, dedicatedCpus, numaNodes, devices, cdrom, processor } = form
  const platform = {
    ...(firmware === 'bios' ? {} : { firmware }),
    ...(tpm ? { tpm } : {}),
    ...(watchdog === '' ? {} : { watchdog }),
    ...(hugePages === '' ? {} : { hugePages }),
    ...(dedicatedCpus ? { dedicatedCpus } : {}),
    ...(numaNodes > 1 ? { numaNodes } : {}),
    ...(devices.length === 0 ? {} : { devices: Object.fromEntries(devices.map((one) => [one, 1])) }),
  }
  const cloudInit = cloudInitOf(form.cloudInit)
  const media = { ...(cdrom === '' ? {} : { cdrom }), ...(cloudInit ? { cloudInit } : {}) }
  return {
    boot: { kind: 'disk' },
    ...(form.display ? { display: 'vga' as const } : {}),
    ...(Object.keys(media).length === 0 ? {} : { media }),
    ...(Object.keys(platform).length === 0 ? {} : { platform }),
    ...(processor === 'baseline' ? {} : { processor }),
  }
}

function containerOf(form: CreateForm): Pick<CreateBody, 'boot' | 'container' | 'rootCopy'> {
  const lists = {
    addresses: wordsOf(form.addresses),
    gateways: wordsOf(form.gateways),
    nameservers: wordsOf(form.nameservers),
    searchDomains: wordsOf(form.searchDomains),
    mounts: form.disks.slice(1).map(({ mountPath }) => mountPath),
  }
  const limits = limitsOf(form.limits)
  const rootCopy = askedCopyOf(form.rootCopy)
  return {
    boot: { kind: 'container' },
    ...(rootCopy ? { rootCopy } : {}),
    container: {
      template: form.template,
      ...(form.isRootNative ? { root: 'native' as const } : {}),
      ...(form.hostname === '' ? {} : { hostname: form.hostname }),
      ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
      ...(form.privileged ? { privileged: true } : {}),
      ...(form.nesting ? { nesting: true } : {}),
      ...(limits.ok && Object.keys(limits.value).length > 0 ? { limits: limits.value } : {}),
    },
  }
}

export const sizeBytesOf = (gib: number) => Math.round((gib * GIB) / BLOCK) * BLOCK
export const memoryBytesOf = (gib: number) => Math.round((gib * GIB) / MIB) * MIB
export const wordsOf = (text: string) => text.split(/[\s,]+/).filter(Boolean)

export interface Complaints {
  /** By the place in the request: `disks[0].sizeBytes`. */
  at(path: string): string | undefined
  /** Of what stands in no field. */
  readonly rest: string
}

/** Places that have a field of their own in the form. */
const PLACES = [
  /^(name|project|cpus|cpusMax|memoryBytes|memoryMaxBytes|host)$/,
  /^disks\[\d+\]\.sizeBytes$/,
  /^container\.(template|hostname|addresses|gateways|nameservers|searchDomains|mounts|limits)/,
  /^platform\.numaNodes$/,
  /^rootCopy\.everyMs$/,
  /^media\.cloudInit\.(user|sshKeys|hostname|userData|network)/,
]

/** What the schema says against the form; undefined when nothing. */
export function complaintsAbout(form: CreateForm): Complaints | undefined {
  const found: [path: string, message: string][] = []
  const rest: z.core.$ZodIssue[] = []
  for (const issue of createGuestBody.safeParse(bodyOf(form)).error?.issues ?? []) {
    const path = pathText(issue.path)
    if (PLACES.some((place) => place.test(path))) found.push([path, issue.message])
    else rest.push(issue)
  }
  if (form.kind === 'ct') {
    // The schema has it as a text of any kind.
    if (form.template === '') found.push(['container.template', 'must be a template'])
    const limits = limitsOf(form.limits)
    if (!limits.ok) found.push(['container.limits', limits.error.message])
  }
  if (found.length === 0 && rest.length === 0) return undefined
  return {
    at: (path) => found.find(([at]) => at === path || at.startsWith(`${path}.`) || at.startsWith(`${path}[`))?.[1],
    rest: rest.length === 0 ? '' : describeIssues(rest, createGuestBody).message,
  }
}
