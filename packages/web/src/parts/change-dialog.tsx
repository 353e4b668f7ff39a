/**
 * Asks for what a change needs to know, shows what it would do where the cluster can say, demands the name before what
 * cannot be undone, makes the change, and says why it was refused.
 */
import { Alert, Button, Checkbox, Group, Stack, Text as Words, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState, type FormEvent, type ReactNode } from 'react'
import type { Client } from '@stead/api/client.ts'
import type { Failure } from '@stead/core/errors.ts'
import type { Result } from '@stead/core/result.ts'
import { useText } from '../i18n/texts.ts'
import { useSession } from '../session/session-context.ts'
import { Dialog } from './dialog.tsx'
import { FailureAlert } from './failure-alert.tsx'
import { ForesightSummary } from './foresight-summary.tsx'
import { FORESIGHT, useForesight } from './use-foresight.ts'

/** What somebody who was refused does all the same; goes into the body of requests that know it. */
export interface Consent {
  readonly acceptBreach?: true
}

type Call = (client: Client, consent: Consent) => Promise<Result<unknown>>

export interface ChangeDialogProps {
  readonly title: string
  /** On the button. */
  readonly confirm: string
  /** The fields. */
  readonly children?: ReactNode
  /** With a client that only foresees, and with the real one; several are made one after the other, up to a failure. */
  readonly call: Call | readonly Call[]
  /** What tells one change from another, for what it would do; absent: the cluster cannot say that of this one. */
  readonly foreseen?: readonly unknown[]
  /** Why it cannot be asked for yet; empty: something is missing, and it is seen what. */
  readonly complaint?: string | undefined
  /** Of what takes something away: what is lost, and the name that must be typed in before what cannot be undone. */
  readonly danger?: { readonly text?: string; readonly name?: string }
  /** It was asked for without this dialog, and refused. */
  readonly refused?: Failure | undefined
  readonly onClose: () => void
  readonly onDone?: () => void
}

export function ChangeDialog(props: ChangeDialogProps) {
  const { title, confirm, children, call, foreseen, complaint, danger, refused: before, onClose, onDone } = props
  const t = useText()
  const { client, foreseen: clientThatHasSeen } = useSession()
  const queries = useQueryClient()
  const [typed, setTyped] = useState('')
  const [isBusy, setBusy] = useState(false)
  const [failure, setFailure] = useState<Failure | undefined>(before)
  const [isAccepted, setAccepted] = useState(false)
  const consent: Consent = isAccepted ? { acceptBreach: true } : {}
  const calls = (typeof call === 'function' ? [call] : call).map((one) => (asker: Client) => one(asker, consent))
  const isWhole = complaint === undefined
  const outlook = useForesight(foreseen && isWhole ? [title, isAccepted, ...foreseen] : undefined, calls)
  const isNamed = danger?.name === undefined || typed === danger.name
  const canDo = isWhole && isNamed && !outlook.isPending && outlook.failure === undefined

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (!canDo || isBusy) return
    setBusy(true)
    setFailure(undefined)
    // What the second would do is another thing once the first is done: only of a single one the outcome was seen.
    const [view] = calls.length === 1 ? (outlook.views ?? []) : []
    const refused = await firstFailure(calls, view ? clientThatHasSeen(view.token) : client)
    setBusy(false)
    if (refused) return setFailure(refused)
    onDone?.()
    onClose()
    // Whatever is shown may be another now; what this change would do is asked no more.
    void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== FORESIGHT })
  }

  return (
    <Dialog title={title} size="lg" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)} noValidate>
        <Stack gap="md">
          {children}
          <ForesightSummary {...outlook} />
          {danger ? <Danger {...danger} typed={typed} onType={setTyped} /> : null}
          {complaint === undefined || complaint === '' ? null : (
            <Words size="sm" c="var(--mantine-color-error)" role="status">
              {complaint}
            </Words>
          )}
          {failure ? <FailureAlert failure={failure} /> : null}
          {isAccepted || [failure, outlook.failure].some((refused) => refused?.code === 'admission') ? (
            <AcceptBreach
              isAccepted={isAccepted}
              onChange={(next) => {
                setFailure(undefined)
                setAccepted(next)
              }}
            />
          ) : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t('word.cancel')}
            </Button>
            <Button type="submit" color={danger ? 'red.9' : undefined} loading={isBusy} disabled={!canDo}>
              {confirm}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}

async function firstFailure(
  calls: readonly ((client: Client) => Promise<Result<unknown>>)[],
  client: Client,
): Promise<Failure | undefined> {
  for (const call of calls) {
    const done = await call(client)
    if (!done.ok) return done.error
  }
  return undefined
}

/** Beside the cluster's refusal to leave guests without a place after a loss. */
export function AcceptBreach(props: { isAccepted: boolean; onChange: (isAccepted: boolean) => void }) {
  const t = useText()
  return (
    <Checkbox
      label={t('ask.acceptBreach')}
      checked={props.isAccepted}
      onChange={(event) => props.onChange(event.currentTarget.checked)}
    />
  )
}

interface DangerProps {
  readonly text?: string
  readonly name?: string
  readonly typed: string
  readonly onType: (typed: string) => void
}

/** What is lost, and the name that says that one means it. */
function Danger({ text, name, typed, onType }: DangerProps) {
  const t = useText()
  if (text === undefined && name === undefined) return null
  return (
    <Alert color="red" variant="light">
      {text === undefined ? null : <Words size="sm">{text}</Words>}
      {name === undefined ? null : (
        <TextInput
          mt="xs"
          label={t('ask.typeName', { name })}
          value={typed}
          onChange={(event) => onType(event.currentTarget.value)}
          autoComplete="off"
          data-autofocus
        />
      )}
    </Alert>
  )
}
