import { Button, Stack } from '@mantine/core'
import type { ReactNode } from 'react'
import { useText } from '../i18n/texts.ts'
import { Dialog } from './dialog.tsx'
import { Secret } from './secret.tsx'
import classes from './secret-dialog.module.css'

export interface SecretDialogProps {
  readonly title: string
  readonly text: string
  readonly secret: string
  /** What has come of it so far. */
  readonly children?: ReactNode
  readonly onClose: () => void
}

/** Shown this once: nobody can ever see it again. */
export function SecretDialog(props: SecretDialogProps) {
  const t = useText()
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <Stack>
        <p className={classes.text}>{props.text}</p>
        <Secret value={props.secret} />
        {props.children}
        <Button onClick={props.onClose}>{t('word.close')}</Button>
      </Stack>
    </Dialog>
  )
}
