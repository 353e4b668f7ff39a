/**
 * The end of a live move that waits for the container: its front is up beside the run that is still elsewhere, and reads and
 * writes nothing. The root is mounted, and the processes restored, once the source has said that the container is ours.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import type { ArrivalEndpoint } from '@stead/core/ports/guest-migration.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ContainerFront } from '../container-front.ts'
import { raiseLinks } from '../container-links.ts'
import { ContainerBuilding, linkName } from '../container-parts.ts'
import { clearRun, ContainerRun, type ContainerRunOptions } from '../container-run.ts'
import { clearImageFolder, imagesFolder, makeImageFolder } from './image-folder.ts'
import { listenForImages, type ImageListener, type ImageSocket } from './image-socket.ts'

/** The source connects as soon as it knows where. */
const CONNECTED_TIMEOUT_MS = 15_000
const IMAGES_TIMEOUT_MS = 120_000

export interface ArrivingContainer {
  readonly options: ContainerRunOptions
  readonly launch: GuestLaunch
  readonly criu: string
}

export class ContainerArrival {
  readonly launch: GuestLaunch
  readonly #of: ArrivingContainer
  readonly #building: ContainerBuilding
  readonly #front: ContainerFront
  readonly #listener: ImageListener
  readonly #images: Promise<Result<ImageSocket>>
  #socket: ImageSocket | undefined
  #over = false

  private constructor(
    of: ArrivingContainer,
    building: ContainerBuilding,
    front: ContainerFront,
    listener: ImageListener,
  ) {
    this.#of = of
    this.launch = of.launch
    this.#building = building
    this.#front = front
    this.#listener = listener
    this.#images = this.#receive()
  }

  /** A failure leaves nothing behind. Everything that an earlier run has left here must have been ended. */
  static async prepare(
    of: ArrivingContainer,
    at: { readonly address: string; readonly secret: string },
  ): Promise<Result<{ readonly arrival: ContainerArrival; readonly endpoint: ArrivalEndpoint }>> {
    const { options, launch } = of
    const building = new ContainerBuilding(options, launch)
    // What its console has said where it is comes now, and is not to stand behind what an earlier run said here.
    rmSync(join(options.folder, 'console.log'), { force: true })
    const listener = await listenForImages(at.address, at.secret)
    if (!listener.ok) return listener
    const place = await makeImageFolder(options.folder, launch.memoryBytes)
    const front = place.ok ? await building.startFront() : place
    if (front.ok) {
      const arrival = new ContainerArrival(of, building, front.value, listener.value)
      const { port } = listener.value
      return ok({ arrival, endpoint: { ...at, port, postCopyRefusal: 'a container moves while it stands still' } })
    }
    listener.value.close()
    await clearImageFolder(options.folder)
    await clearRun(options.folder)
    return front
  }

  get front(): ContainerFront {
    return this.#front
  }

  async #receive(): Promise<Result<ImageSocket>> {
    const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), CONNECTED_TIMEOUT_MS).unref())
    const socket = await Promise.race([this.#listener.arrived, late])
    this.#listener.close()
    if (!socket || this.#over) {
      socket?.close()
      return fail(failure('timeout', 'The host that it leaves has not connected'))
    }
    this.#socket = socket
    socket.storeIn(imagesFolder(this.#of.options.folder))
    socket.tell({ kind: 'ready' })
    const all = await socket.next('all', IMAGES_TIMEOUT_MS)
    if (!all.ok) return all
    socket.tell({ kind: 'received' })
    return ok(socket)
  }

  /** Resolves once the container runs here; after a failure all that waited is to be ended. */
  async arrived(timeoutMs: number): Promise<Result<ContainerRun>> {
    const socket = await this.#images
    if (!socket.ok) return socket
    const go = await socket.value.next('go', timeoutMs)
    if (!go.ok) return go
    const { options, launch, criu } = this.#of
    const began = performance.now()
    const arrived = await ContainerRun.start(options, launch, { building: this.#building, front: this.#front, criu })
    const init = arrived.ok ? arrived.value.lxc.initPid() : undefined
    // Where it has not been heard, its first word is.
    if (init !== undefined) await this.#raiseLinks(init)
    options.log.info('the container has come', { ms: Math.round(performance.now() - began) })
    socket.value.tell(arrived.ok ? { kind: 'running' } : { kind: 'failed', reason: arrived.error.message })
    await clearImageFolder(options.folder)
    return arrived
  }

  async #raiseLinks(init: number): Promise<void> {
    const { options, launch } = this.#of
    const links = launch.nics.map((nic, position) => ({ hostEnd: nic.tap, name: linkName(nic, position) }))
    const raised = await raiseLinks(options.nativeDir, init, links)
    if (!raised.ok) options.log.error(raised.error.message)
  }

  /** The container never comes, or has come. What it may have left is the caller's to clear. */
  async end(): Promise<void> {
    this.#over = true
    this.#listener.close()
    this.#socket?.close()
    this.#front.dispose()
    await clearImageFolder(this.#of.options.folder)
  }
}
