/** Replicas that move from host to host while their guest runs. */
import type { Command } from 'commander'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { finished, settle } from '../waiting.ts'

export function addVolumeMove(volume: Command, terminal: Terminal): void {
  volume
    .command('move')
    .description(ENDPOINTS['volume.move'].summary)
    .argument('<volume>', "the volume's id")
    .option('--from <host>', 'whose replica leaves once the new one is in sync; HOST/POOL names it exactly')
    .option('--to <host>', 'where a replica is made: HOST, or HOST/POOL')
    .option('--cancel', 'call off the move that is under way: the new replica goes away again')
    .action(
      action(terminal, async (session, [id = ''], { from, to, cancel }) => {
        if (cancel === true && (from !== undefined || to !== undefined))
          throw badArgument('--cancel excludes --from and --to')
        if (cancel !== true && from === undefined && to === undefined) throw badArgument('give --from, --to or both')
        const client = await session.client()
        const answer =
          cancel === true
            ? await client.call(ENDPOINTS['volume.cancel-move'], { params: { volume: id } })
            : await client.call(ENDPOINTS['volume.move'], {
                params: { volume: id },
                body: {
                  ...(from === undefined ? {} : { from: placeOf(String(from)) }),
                  ...(to === undefined ? {} : { to: placeOf(String(to)) }),
                },
              })
        const operation = await settle(session, client, valueOf(answer).operation)
        finished(session, operation, `volume ${id} ${cancel === true ? 'stays where it is' : 'moved'}`)
      }),
    )
}

/** Before a live move: each disk that has one replica, on another host, moves there first. The guest runs on all the while. */
export async function bringStorage(session: Session, client: Client, guest: string, to: string): Promise<void> {
  if (!session.wait) throw badArgument('--with-storage takes two steps, and --no-wait waits for none')
  const { volumes } = valueOf(await client.call(ENDPOINTS['guest.show'], { params: { guest } }))
  for (const { id, replicas } of volumes) {
    const [only] = replicas
    if (!only || replicas.length > 1 || only.host === to) continue
    const body = { from: { host: only.host }, to: { host: to } }
    const answer = await client.call(ENDPOINTS['volume.move'], { params: { volume: id }, body })
    await settle(session, client, valueOf(answer).operation)
  }
}

function placeOf(text: string): { host: string; pool?: string } {
  const [host = '', pool, ...more] = text.split('/')
  if (host === '' || pool === '' || more.length > 0) throw badArgument(`${text} is not HOST or HOST/POOL`)
  return pool === undefined ? { host } : { host, pool }
}
