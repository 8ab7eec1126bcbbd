"""The source ``folder:PATH``: acquisitions in files, as at APS 8-ID, become the documents of Bluesky runs."""

from ainerd_folder._acquisition import AcquisitionFiles
from ainerd_folder._counting import count_frames
from ainerd_folder._folder import Folder, FolderOfAcquisitions, folder_documents
from ainerd_folder._metadata import Metadata

__all__ = ["AcquisitionFiles", "Folder", "FolderOfAcquisitions", "Metadata", "count_frames", "folder_documents"]
