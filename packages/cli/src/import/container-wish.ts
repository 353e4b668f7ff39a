/** What a foreign container configuration asks for, in words that belong to no product, and what became of each line. */

/** As OpenVZ names and measures it: pages of 4 KiB, bytes, items, KiB of disk space, percent of a processor. */
export interface WishedLimit {
  readonly barrier?: number
  readonly limit?: number
}

export interface WishedNic {
  /** In the container. */
  readonly name?: string
  readonly mac?: string
  readonly bridge: string
  /** With `/LENGTH` where the file has one. */
  readonly addresses: readonly string[]
  readonly gateway?: string
  readonly gateway6?: string
  /** Each way. */
  readonly bytesPerSecond?: number
}

export interface WishedMount {
  readonly path: string
  /** What the other product calls it. `host`: a folder or device of that host. */
  readonly source: string
  readonly kind: 'volume' | 'host'
  readonly sizeBytes?: number
  readonly readOnly: boolean
}

/** Absent: the file does not say, or says that there is no limit. */
export interface ContainerWish {
  readonly name: string
  readonly hostname?: string
  readonly memoryBytes?: number
  readonly swapBytes?: number
  readonly cpus?: number
  /** By OpenVZ's names, in small letters. */
  readonly limits: Readonly<Record<string, WishedLimit>>
  readonly nics: readonly WishedNic[]
  readonly nameservers: readonly string[]
  readonly searchDomains: readonly string[]
  readonly diskBytes?: number
  readonly diskInodes?: number
  readonly mounts: readonly WishedMount[]
  readonly privileged: boolean
  readonly nesting: boolean
  readonly autostart: boolean
  readonly startOrder?: number
  readonly tags: readonly string[]
  readonly notes?: string
}

export interface ImportRemark {
  /** `KMEMSIZE`, `net0 tag`. */
  readonly what: string
  /** `line 12`. */
  readonly where: string
  /** What it became, how its meaning changed, or why it was left out. */
  readonly text: string
}

export interface ContainerImport {
  readonly wish: ContainerWish
  readonly taken: readonly ImportRemark[]
  readonly changed: readonly ImportRemark[]
  readonly leftOut: readonly ImportRemark[]
}

export class ImportRemarks {
  readonly taken: ImportRemark[] = []
  readonly changed: ImportRemark[] = []
  readonly leftOut: ImportRemark[] = []

  take(what: string, line: number, text: string): void {
    this.taken.push({ what, where: `line ${line}`, text })
  }

  change(what: string, line: number, text: string): void {
    this.changed.push({ what, where: `line ${line}`, text })
  }

  /** What was said about it is not the whole truth. */
  rechange(what: string, text: string): void {
    for (const [index, remark] of this.changed.entries())
      if (remark.what === what) this.changed[index] = { ...remark, text }
  }

  leave(what: string, line: number, text: string): void {
    this.leftOut.push({ what, where: `line ${line}`, text })
  }
}

/** Something on a line can't be read at all; caught where the import ends. */
export class MisreadLine extends Error {
  readonly line: number

  constructor(line: number, message: string) {
    super(message)
    this.line = line
  }
}

/** `/root/101.conf` -> `101`; the name of a container that has no other. */
export function containerId(fileName: string): string {
  return (
    fileName
      .replace(/^.*\//, '')
      .replace(/\.conf(\..*)?$/, '')
      .replaceAll(/[^A-Za-z0-9-]/g, '-') || 'imported'
  )
}

/** A host name as a guest's name: its first label. */
export function nameFrom(hostname: string): string {
  return hostname
    .split('.', 1)
    .join('')
    .replaceAll(/[^A-Za-z0-9-]/g, '-')
    .replaceAll(/^-+|-+$/g, '')
}
