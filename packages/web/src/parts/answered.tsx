/** What was asked of the cluster: loading, its failure, or what it is. */
import { useQuery, type QueryKey } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import type { Client } from '@stead/api/client.ts'
import type { Result } from '@stead/core/result.ts'
import { useSession } from '../session/session-context.ts'
import { FailureAlert } from './failure-alert.tsx'
import { LoadingRows } from './loading-rows.tsx'

export interface Asked<Value> {
  readonly data: Result<Value> | undefined
}

/** Of what the live store does not hold; asked anew when the key changes, and after each change that a dialog makes. */
export function useAsked<Value>(key: QueryKey, ask: (client: Client) => Promise<Result<Value>>): Asked<Value> {
  const { client } = useSession()
  return useQuery({ queryKey: key, queryFn: () => ask(client), placeholderData: (before) => before })
}

/** Those of a list, for a field that offers them: none as long as there is no answer. */
export function useItems<Item>(
  key: QueryKey,
  ask: (client: Client) => Promise<Result<{ readonly items: readonly Item[] }>>,
): readonly Item[] {
  const { data } = useAsked(key, ask)
  return data?.ok ? data.value.items : []
}

export function Answered<Value>(props: { asked: Asked<Value>; children: (value: Value) => ReactNode }) {
  const { data } = props.asked
  if (!data) return <LoadingRows />
  if (!data.ok) return <FailureAlert failure={data.error} />
  return props.children(data.value)
}
