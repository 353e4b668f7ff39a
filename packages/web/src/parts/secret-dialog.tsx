import { Button, Stack } from '@mantine/core'
import { useText } from '../i18n/texts.ts'
import { Dialog } from './dialog.tsx'
import { Secret } from './secret.tsx'
import classes from './secret-dialog.module.css'

/** Shown this once: nobody can ever see it again. */
export function SecretDialog(props: { title: string; text: string; secret: string; onClose: () => void }) {
  const t = useText()
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <Stack>
        <p className={classes.text}>{props.text}</p>
        <Secret value={props.secret} />
        <Button onClick={props.onClose}>{t('word.close')}</Button>
      </Stack>
    </Dialog>
  )
}
