/** Templates of containers: images of kind `root`, each a version of a template. Those of VMs are in `template.ts`. */
import type { Versioned } from './cluster.ts'
import type { ContainerSystem } from './container.ts'
import type { Image } from './volume.ts'

/** What is known of a root file system beside its content. */
export interface RootFacts {
  readonly system: ContainerSystem
  /** As it calls itself in `/etc/os-release`: `Debian GNU/Linux 12 (bookworm)`; empty when it does not say. */
  readonly os: string
  /** As Debian names it: `amd64`; empty when its programs do not tell. */
  readonly architecture: string
  /** SHA-256 of the archive that it was made from, as it was uploaded, hexadecimal. */
  readonly sourceDigest: string
  /** Name of the trusted key by which the archive was signed. */
  readonly signedBy?: string
  readonly form: RootForm
  readonly files: number
  /** Of all files together. */
  readonly contentBytes: number
  /** Every container has its own `/dev`: so many devices of the archive are not in the root, and the first of them. */
  readonly devicesLeftOut?: { readonly count: number; readonly first: string }
  /** What an application's image says of its process. */
  readonly process?: { readonly environment: readonly string[]; readonly folder?: string; readonly user?: string }
}

/** What the archive was: of a root itself, of layers, or a whole container saved by Stead or by another system. */
export type RootForm = 'root' | 'oci' | 'stead-dump' | 'openvz' | 'proxmox'

/** One version of a template; the record's name is `NAME@VERSION`. */
export type TemplateImage = Image & { readonly kind: 'root'; readonly root: RootFacts }

const VERSION_MARK = '@'

export function isTemplate(image: Versioned<Image>): image is Versioned<TemplateImage> {
  return image.value.kind === 'root' && image.value.root !== undefined
}

export function templateImageName(name: string, version: string): string {
  return `${name}${VERSION_MARK}${version}`
}

export function templateNameOf(image: TemplateImage): { readonly name: string; readonly version: string } {
  const at = image.name.indexOf(VERSION_MARK)
  return at === -1
    ? { name: image.name, version: '' }
    : { name: image.name.slice(0, at), version: image.name.slice(at + 1) }
}

/** `debian-12`: the version that was imported last. `debian-12@2026-11-22`: that one. */
export function templateByName(
  images: ReadonlyMap<string, Versioned<Image>>,
  nameOrVersion: string,
): Versioned<TemplateImage> | undefined {
  const exact = images.get(nameOrVersion)
  if (exact && isTemplate(exact)) return exact
  let newest: Versioned<TemplateImage> | undefined
  for (const image of images.values())
    if (isTemplate(image) && templateNameOf(image.value).name === nameOrVersion && isNewer(image.value, newest?.value))
      newest = image
  return newest
}

/** Versions of the same millisecond are told apart by their names, the same on every host. */
function isNewer(one: Image, other: Image | undefined): boolean {
  if (other === undefined || one.createdAt !== other.createdAt) return one.createdAt > (other?.createdAt ?? -1)
  return one.name > other.name
}
