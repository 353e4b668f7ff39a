/** Where a volume has its replicas, changed while its guest runs. */
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { started } from './answers.ts'

const params = z.strictObject({ volume: z.string().describe("The volume's id") })

export const moveReplicaBody = z.strictObject({
  from: z
    .strictObject({ host: z.string(), pool: z.string().optional() })
    .optional()
    .describe('The replica that leaves once the new one is in sync; absent: none does'),
  to: z
    .strictObject({ host: z.string(), pool: z.string().optional().describe('The roomiest when absent') })
    .optional()
    .describe('Where a replica is made; absent: none is'),
})
export type MoveReplica = z.output<typeof moveReplicaBody>

export const REPLICA_MOVE_ENDPOINTS = {
  'volume.move': endpoint({
    id: 'volume.move',
    method: 'POST',
    path: '/v1/volumes/{volume}/move',
    summary: 'Move a replica of a volume to another host, make one more or one less, live',
    permission: 'guest.configure',
    on: 'volume',
    params,
    body: moveReplicaBody,
    response: started,
    status: 202,
    long: true,
  }),
  'volume.cancel-move': endpoint({
    id: 'volume.cancel-move',
    method: 'DELETE',
    path: '/v1/volumes/{volume}/move',
    summary: 'Call off the move of a replica that is not in sync yet',
    permission: 'guest.configure',
    on: 'volume',
    params,
    response: started,
    status: 202,
    long: true,
  }),
} as const
