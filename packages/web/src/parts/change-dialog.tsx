/**
 * Asks for what a change needs to know, shows what it would do where the cluster can say, demands the name before what
 * cannot be undone, and makes the change.
 */
import { Alert, Button, Group, Modal, Stack, Text as Words, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState, type FormEvent, type ReactNode } from 'react'
import type { Client } from '@stead/api/client.ts'
import type { ForeseenView } from '@stead/api/foresight-view.ts'
import type { Failure } from '@stead/core/errors.ts'
import type { Result } from '@stead/core/result.ts'
import { useText } from '../i18n/texts.ts'
import { useSession } from '../session/session-context.ts'
import { FailureAlert } from './failure-alert.tsx'
import { ForesightSummary } from './foresight-summary.tsx'

export interface ChangeDialogProps {
  readonly title: string
  /** On the button. */
  readonly confirm: string
  /** The fields. */
  readonly children?: ReactNode
  /** With a client that only foresees, and with the real one. */
  readonly call: (client: Client) => Promise<Result<unknown>>
  /** What tells one change from another, for what it would do; absent: the cluster cannot say that of this one. */
  readonly foreseen?: readonly unknown[]
  /** Why it cannot be asked for yet; empty: something is missing, and it is seen what. */
  readonly complaint?: string | undefined
  /** What is lost, and the name that must be typed in before. */
  readonly danger?: { readonly text: string; readonly name: string }
  readonly onClose: () => void
  readonly onDone?: () => void
}

export function ChangeDialog(props: ChangeDialogProps) {
  const { title, confirm, children, call, foreseen, complaint, danger, onClose, onDone } = props
  const t = useText()
  const { client, foreseeing, foreseen: clientThatHasSeen } = useSession()
  const [typed, setTyped] = useState('')
  const [isBusy, setBusy] = useState(false)
  const [failure, setFailure] = useState<Failure>()
  const isWhole = complaint === undefined
  const isForeseen = foreseen !== undefined && isWhole
  const outlook = useQuery({
    queryKey: ['change', title, ...(foreseen ?? [])],
    enabled: isForeseen,
    staleTime: 0,
    gcTime: 0,
    queryFn: async () => {
      const answer = await call(foreseeing)
      if (answer.ok) return { failure: undefined, view: undefined }
      if (answer.error.code !== 'foreseen') return { failure: answer.error, view: undefined }
      return { failure: undefined, view: answer.error.cause as ForeseenView }
    },
  })
  const view = isForeseen ? outlook.data?.view : undefined
  const obstacle = isForeseen ? outlook.data?.failure : undefined

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setFailure(undefined)
    const done = await call(view ? clientThatHasSeen(view.token) : client)
    setBusy(false)
    if (!done.ok) return setFailure(done.error)
    onDone?.()
    onClose()
  }

  return (
    <Modal opened onClose={onClose} size="lg" title={title} closeButtonProps={{ 'aria-label': t('word.close') }}>
      <form onSubmit={(event) => void submit(event)} noValidate>
        <Stack gap="md">
          {children}
          {isForeseen ? (
            <ForesightSummary views={view && [view]} failure={obstacle} isPending={outlook.isPending} />
          ) : null}
          {danger ? (
            <Alert color="red" variant="light">
              <Words size="sm" mb="xs">
                {danger.text}
              </Words>
              <TextInput
                label={t('ask.typeName', { name: danger.name })}
                value={typed}
                onChange={(event) => setTyped(event.currentTarget.value)}
                autoComplete="off"
              />
            </Alert>
          ) : null}
          {complaint === undefined || complaint === '' ? null : (
            <Words size="sm" c="var(--mantine-color-error)" role="alert">
              {complaint}
            </Words>
          )}
          {failure ? <FailureAlert failure={failure} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t('word.cancel')}
            </Button>
            <Button
              type="submit"
              color={danger ? 'red.9' : undefined}
              loading={isBusy}
              disabled={!isWhole || obstacle !== undefined || (danger !== undefined && typed !== danger.name)}
            >
              {confirm}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}
