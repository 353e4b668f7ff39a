/** Asks for what a change needs, shows what it would do where that can be foreseen, makes it, and says why it was refused. */
import { Button, Group, Modal, Stack, TextInput } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState, type FormEvent, type ReactNode } from 'react'
import type { Client } from '@stead/api/client.ts'
import type { ForeseenView } from '@stead/api/foresight-view.ts'
import type { Failure } from '@stead/core/errors.ts'
import type { Result } from '@stead/core/result.ts'
import { useText } from '../i18n/texts.ts'
import { useSession } from '../session/session-context.ts'
import { FailureAlert } from './failure-alert.tsx'
import { ForesightSummary } from './foresight-summary.tsx'

const FORESIGHT = 'foresight-of-form'

export interface FormDialogProps {
  readonly title: string
  /** What the button says that does it. */
  readonly submit: string
  readonly perform: (client: Client) => Promise<Result<unknown>>
  /** Of a change that can be foreseen: what the request holds; undefined while it is not complete. */
  readonly foresees?: unknown
  /** Of what cannot be taken back: must be typed first. */
  readonly typeName?: string
  readonly isDangerous?: boolean
  readonly isReady?: boolean
  readonly onClose: () => void
  readonly children?: ReactNode
}

export function FormDialog(props: FormDialogProps) {
  const { title, submit, perform, typeName, isDangerous = typeName !== undefined, isReady = true, onClose } = props
  const t = useText()
  const { client, foreseen } = useSession()
  const queries = useQueryClient()
  const [typed, setTyped] = useState('')
  const [isBusy, setBusy] = useState(false)
  const [failure, setFailure] = useState<Failure>()
  const foresight = useForesight(props)
  const canDo = isReady && (typeName === undefined || typed === typeName)

  const onSubmit = async (event: FormEvent) => {
    event.preventDefault()
    if (!canDo || isBusy) return
    setBusy(true)
    const done = await perform(foresight.view ? foreseen(foresight.view.token) : client)
    setBusy(false)
    if (!done.ok) return setFailure(done.error)
    onClose()
    // Whatever is shown may be another now; what this change would do is asked no more.
    void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== FORESIGHT })
  }

  return (
    <Modal opened onClose={onClose} title={title} size="lg" closeButtonProps={{ 'aria-label': t('word.close') }}>
      <form onSubmit={(event) => void onSubmit(event)}>
        <Stack>
          {props.children}
          {foresight.isAsked ? (
            <ForesightSummary
              views={foresight.view && [foresight.view]}
              failure={foresight.failure}
              isPending={foresight.isPending}
            />
          ) : null}
          {typeName === undefined ? null : (
            <TextInput
              label={t('ask.typeName', { name: typeName })}
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
              autoComplete="off"
              data-autofocus
            />
          )}
          {failure ? <FailureAlert failure={failure} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t('word.cancel')}
            </Button>
            <Button type="submit" color={isDangerous ? 'red.9' : undefined} disabled={!canDo} loading={isBusy}>
              {submit}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}

function useForesight({ title, foresees, perform }: FormDialogProps) {
  const { foreseeing } = useSession()
  const isAsked = foresees !== undefined
  const query = useQuery({
    queryKey: [FORESIGHT, title, foresees],
    enabled: isAsked,
    staleTime: 0,
    gcTime: 0,
    queryFn: async () => {
      const answer = await perform(foreseeing)
      if (answer.ok) return {}
      return answer.error.code === 'foreseen' ? { view: answer.error.cause as ForeseenView } : { failure: answer.error }
    },
  })
  return { isAsked, isPending: query.isPending, ...(isAsked ? query.data : {}) } as {
    readonly isAsked: boolean
    readonly isPending: boolean
    readonly view?: ForeseenView
    readonly failure?: Failure
  }
}
