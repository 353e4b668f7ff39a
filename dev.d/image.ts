/** `./dev image debian`: the Debian guest image that tests and the lab use, built unless it is there. */
import { statSync } from 'node:fs'
import { buildDebianImage } from '@stead/lab/debian-image.ts'
import { DevFailure } from './run-program.ts'

export async function buildDebian(): Promise<number> {
  const began = performance.now()
  const image = await buildDebianImage()
  if (!image.ok)
    throw new DevFailure(`${image.error.message}${image.error.hint === undefined ? '' : `\nhint: ${image.error.hint}`}`)
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
  const size = `${mib(statSync(image.value.path).size)}, as a disk ${mib(image.value.virtualSizeBytes)}`
  process.stdout.write(`${image.value.path}\n${size}, after ${((performance.now() - began) / 1000).toFixed(1)} s\n`)
  return 0
}
