/** `./dev lab`, once the lab is up: runs the tour against it. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect, parseArgs } from 'node:util'
import { createClient } from '@stead/api/client.ts'
import { readContext } from '@stead/cli/context.ts'
import { unixTransport } from '@stead/client/node-transport.ts'
import { FailureError } from '@stead/core/errors.ts'
import type { Result } from '@stead/core/result.ts'
import { buildGuestImage } from './guest-image.ts'
import { findLab } from './lab.ts'
import { labPlaces } from './topology.ts'
import { TourContainer } from './tour-container.ts'
import { Tour, untilTold } from './tour.ts'

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url))

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new FailureError(result.error)
  return result.value
}

try {
  const { values } = parseArgs({ options: { 'with-container': { type: 'boolean' } } })
  const lab = must(findLab(process.env, must(labPlaces(process.env))))
  const context = must(await readContext(process.env))
  const client = createClient({
    targets: context.endpoints,
    transport: unixTransport,
    ...(context.token === undefined ? {} : { token: context.token }),
    patienceMs: 20_000,
  })
  const image = must(await buildGuestImage(REPOSITORY))
  const { nativeDir } = lab.boot
  const stead = join(REPOSITORY, 'bin', 'stead')
  const container = values['with-container'] && new TourContainer({ client, until: untilTold, stead, nativeDir })
  await new Tour({
    lab,
    client,
    image,
    ...(container ? { container } : {}),
    nativeDir,
    say: (line) => process.stdout.write(`${line}\n`),
  }).run()
  process.exit(0)
} catch (error) {
  const shown = error instanceof Error ? error.message : String(error)
  process.stderr.write(`error: the tour ended early: ${shown}\n`)
  if (error instanceof FailureError && error.failure.hint) process.stderr.write(`hint: ${error.failure.hint}\n`)
  if (error instanceof Error && error.cause !== undefined) process.stderr.write(`cause: ${inspect(error.cause)}\n`)
  process.stderr.write('The lab goes on; look with: bin/stead event list\n')
  process.exit(1)
}
