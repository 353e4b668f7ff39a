/** What a file probably is, by its name; whoever uploads it says what it is, and the cluster looks. */
export const IMAGE_FORMATS = ['qcow2', 'raw', 'vmdk', 'vhdx', 'ova', 'iso', 'root'] as const
export type ImageFormat = (typeof IMAGE_FORMATS)[number]

export function formatOf(fileName: string): ImageFormat {
  if (/\.tar(\.(gz|xz|zst))?$|\.tgz$/i.test(fileName)) return 'root'
  const ending = fileName.toLowerCase().split('.').at(-1)
  if (ending === 'img') return 'raw'
  return IMAGE_FORMATS.find((format) => format === ending) ?? 'qcow2'
}

/** A DNS label: `Debian 12_generic.qcow2` becomes `debian-12-generic`. */
export function imageNameOf(fileName: string): string {
  return fileName
    .toLowerCase()
    .replace(/\.(tar(\.(gz|xz|zst))?|tgz|qcow2|raw|img|vmdk|vhdx|ova|iso)$/, '')
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 63)
}
