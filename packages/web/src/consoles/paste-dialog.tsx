/** Text for a console: typed by the keyboard of a screen, which has a layout; sent as it is to a terminal. */
import { Button, Group, Progress, Select, Stack, Textarea } from '@mantine/core'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { KEYBOARD_LAYOUTS, type KeyboardLayoutName } from '@stead/core/console/keyboard-layout.ts'
import { hintOf, type Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { Dialog } from '../parts/dialog.tsx'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { useSession } from '../session/session-context.ts'
import type { GuestOfConsole } from './console-kinds.ts'
import { pastePlan } from './paste-plan.ts'

export interface PasteDialogProps {
  readonly guest: GuestOfConsole
  readonly isScreen: boolean
  /** Into a terminal. */
  readonly onPaste: (text: string) => void
  readonly onClose: () => void
}

export function PasteDialog({ guest, isScreen, onPaste, onClose }: PasteDialogProps) {
  const t = useText()
  const { client } = useSession()
  const [text, setText] = useState('')
  const [layout, setLayout] = useState(() => rememberedLayout(guest.id))
  const [failure, setFailure] = useState<Failure>()
  const [share, setShare] = useState<number>()
  const plan = pastePlan(text, layout)
  const complaint = isScreen && !plan.ok ? `${plan.error.message}. ${hintOf(plan.error) ?? ''}` : undefined

  const type = async () => {
    if (!isScreen) {
      onClose()
      return onPaste(text)
    }
    if (!plan.ok) return
    setFailure(undefined)
    for (const [index, part] of plan.value.entries()) {
      setShare(index / plan.value.length)
      const typed = await client.call(ENDPOINTS['console.paste'], {
        params: { guest: guest.name },
        body: { text: part, layout },
      })
      if (!typed.ok) {
        setShare(undefined)
        return setFailure(typed.error)
      }
    }
    onClose()
  }

  return (
    <Dialog title={t('console.pasteInto', { name: guest.name })} size="lg" onClose={onClose}>
      <Stack>
        <Textarea
          label={t('console.text')}
          description={isScreen ? t('console.textTyped') : undefined}
          autosize
          minRows={4}
          maxRows={14}
          value={text}
          error={complaint}
          onChange={(event) => setText(event.currentTarget.value)}
          spellCheck={false}
          data-autofocus
        />
        {isScreen ? (
          <Select
            label={t('console.layout')}
            description={t('console.layoutText')}
            data={KEYBOARD_LAYOUTS.map((value) => ({ value, label: t(`console.layout.${value}`) }))}
            value={layout}
            allowDeselect={false}
            onChange={(value) => {
              const next = (value ?? 'us') as KeyboardLayoutName
              localStorage.setItem(layoutKey(guest.id), next)
              setLayout(next)
            }}
          />
        ) : null}
        {share === undefined ? null : <Progress value={Math.max(5, share * 100)} aria-label={t('console.typing')} />}
        {failure ? <FailureAlert failure={failure} /> : null}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('word.cancel')}
          </Button>
          <Button
            disabled={text === '' || complaint !== undefined}
            loading={share !== undefined}
            onClick={() => void type()}
          >
            {t('console.paste')}
          </Button>
        </Group>
      </Stack>
    </Dialog>
  )
}

const layoutKey = (id: string) => `stead.layout.${id}`

function rememberedLayout(id: string): KeyboardLayoutName {
  const known = localStorage.getItem(layoutKey(id))
  return KEYBOARD_LAYOUTS.find((layout) => layout === known) ?? 'us'
}
