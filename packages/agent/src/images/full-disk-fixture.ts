/** For a test: imports a file into a folder whose file system has no room, and says what came of it. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { BlobId } from '@stead/core/model/ids.ts'
import { ok } from '@stead/core/result.ts'
import { ImageImporter } from './image-import.ts'

const [path = '', folder = '', what = 'disk'] = process.argv.slice(2)
const workFolder = join(folder, 'work')
const importer = new ImageImporter({ workFolder, keep: async () => ok(), reserveBytes: -(2 ** 30) })
await importer.clean()
const answer =
  what === 'disk'
    ? await importer.import({ path, format: 'raw', virtualSizeMax: 2 ** 30 })
    : await importer.importRoot({ path, source: 'sha256:' as BlobId, bytesMax: 2 ** 30, filesMax: 1000 })
process.stdout.write(JSON.stringify({ code: answer.ok ? 'taken' : answer.error.code, left: readdirSync(workFolder) }))
